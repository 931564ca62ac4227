// Requests to the server, and what to do when they fail.

// The picture at an address, as an URL that <img> takes.
export async function picture(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) {
    throw new Error((await response.json()).error);
  }
  return URL.createObjectURL(await response.blob());
}

// Show a new picture where an older one is, and let the older one go.
export function show(image, url) {
  const old = image.src;
  image.src = url;
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}

// Calls `work` with one request at a time. Of those that come meanwhile only the newest is kept.
export function newestOnly(work) {
  let waiting = null;
  let running = false;
  return async function ask(...args) {
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

export function showError(error) {
  const line = document.getElementById("error");
  line.hidden = error === null;
  line.textContent = error === null ? "" : error.message;
}
