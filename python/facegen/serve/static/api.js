// Requests to the server. Addresses are relative, so that the page works below any prefix.

import { showError } from "./say.js";

// The answer of an address; an Error with the server's own words where it refuses.
export async function ask(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) throw await errorOf(response);
  return response;
}

async function errorOf(response) {
  const text = await response.text();
  let words = `${response.status} ${response.statusText}`;
  try {
    words = JSON.parse(text).error ?? words;
  } catch {
    // A proxy's own page, which is no JSON.
  }
  const error = new Error(words);
  error.status = response.status;
  return error;
}

// The picture at an address, as an URL that <img> takes.
export async function picture(address, options) {
  return URL.createObjectURL(await (await ask(address, options)).blob());
}

// The picture at an address, ready to be drawn on a canvas.
export async function bitmap(address) {
  return createImageBitmap(await (await ask(address)).blob());
}

// Show a new picture where an older one is, and let the older one go.
export function show(image, url) {
  const old = image.src;
  image.src = url;
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}

// The same for elements that have one picture as their background.
export function showBehind(elements, url) {
  letGoBehind(elements[0]);
  for (const element of elements) {
    element.dataset.picture = url;
    element.style.backgroundImage = `url(${url})`;
  }
}

// Let go of the picture behind an element that is not shown any more.
export function letGoBehind(element) {
  if (element.dataset.picture) URL.revokeObjectURL(element.dataset.picture);
}

// Long work (serve/jobs.py): `tell` hears how far it is; gives its result.
export async function job(address, tell, signal) {
  const response = await ask(address, { method: "POST", signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the server ended before the work did");
    const lines = (text + value).split("\n");
    text = lines.pop();
    for (const line of lines.map(JSON.parse)) {
      if (line.error) throw new Error(line.error);
      if (line.result) return line.result;
      tell(line.done, line.doing);
    }
  }
}

// Calls `work` with one request at a time. Of those that come meanwhile only the newest is kept.
export function newestOnly(work) {
  let waiting = null;
  let running = false;
  return async function askFor(...args) {
    waiting = args;
    if (running) return;
    running = true;
    while (waiting) {
      const next = waiting;
      waiting = null;
      try {
        await work(...next);
        showError(null);
      } catch (error) {
        showError(error);
      }
    }
    running = false;
  };
}
