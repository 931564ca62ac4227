// Photos: a place to drop one, sending it, and a bar that tells how far the work is.

import { bitmap, job, picture } from "./api.js";
import { anySeed } from "./address.js";
import { say, showError } from "./say.js";

// Send a picture; gives its address. fetch tells nothing of how much was sent, so it is XHR.
export function upload(file, tell, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "api/pictures");
    request.responseType = "json";
    request.setRequestHeader("Content-Type", file.type.startsWith("image/") ? file.type : "image/unknown");
    request.upload.addEventListener("progress", (event) => tell(event.loaded / event.total));
    request.addEventListener("load", () => {
      const found = request.response;
      if (request.status === 201) resolve({ ...found, address: `api/pictures/${found.picture}` });
      else reject(new Error(found?.error ?? `the server answered ${request.status}`));
    });
    request.addEventListener("error", () => reject(new Error("The server does not answer.")));
    request.addEventListener("abort", () => reject(new DOMException("", "AbortError")));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

// The photo itself, as the server shows it: browsers read no TIFF, and few read HEIC.
export function preview(address, signal) {
  const shown = picture(`${address}/before.jpg`, { signal });
  shown.catch(() => {}); // it is awaited after other work, which may have failed before
  return shown;
}

// A bar with a button to cancel. One piece of work at a time: a new one cancels that before it.
export function jobBar(place) {
  place.innerHTML = `<div class="job" hidden><span role="status"></span>
    <progress max="1" aria-label="How much is done"></progress><button>Cancel</button></div>`;
  const bar = place.firstElementChild;
  const [words, progress, button] = bar.children;
  let controller = null;
  button.addEventListener("click", () => controller.abort());
  return {
    // `work` gets (tell, signal, job), the last with this bar; true if it came to its end.
    async run(work) {
      controller?.abort();
      const own = new AbortController();
      controller = own;
      const tell = (done, doing) => {
        if (controller !== own) return;
        progress.value = done;
        if (words.textContent !== doing) words.textContent = doing;
      };
      tell(0, "waiting");
      bar.hidden = false;
      try {
        await work(tell, own.signal, (address) =>
          job(address, (done, doing) => tell(0.2 + 0.8 * done, doing), own.signal));
        showError(null);
        return true;
      } catch (error) {
        if (error.name !== "AbortError") throw error;
        if (controller === own) say("Cancelled.");
        return false;
      } finally {
        if (controller === own) bar.hidden = true;
      }
    },
  };
}

// A place to drop or choose a photo, or to have any face as one; `take` gets the file.
// `grey` takes the face's colours away. What is dropped beside the place, in its part, counts too.
export function addDrop(place, words, take, { grey = false } = {}) {
  place.innerHTML = `
    <label class="drop"><svg class="icon" aria-hidden="true"><use href="static/icons.svg#photo"/></svg><strong></strong>
      <small>Drop it here, or click to choose one: JPEG, PNG, TIFF, WebP, HEIC. It stays on the
        machine that runs facegen.</small>
      <input class="unseen" type="file" accept="image/*,.heic,.heif,.tif,.tiff,.avif"></label>
    <div class="row"><button><span>No photo at hand?</span> Take a face</button></div>
    <div class="bar-place"></div>`;
  const drop = place.querySelector(".drop");
  const part = place.parentElement;
  const input = place.querySelector("input");
  place.querySelector("strong").textContent = words;
  const begin = (file) => {
    if (!file) return;
    place.classList.add("has-photo");
    place.querySelector("strong").textContent = "Another photo";
    take(file);
  };
  part.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  part.addEventListener("dragleave", () => drop.classList.remove("over"));
  part.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    begin(event.dataTransfer.files[0]);
  });
  input.addEventListener("change", () => {
    begin(input.files[0]);
    input.value = "";
  });
  const takeFace = async () => {
    try {
      begin(await aFace(grey));
    } catch (error) {
      showError(error);
    }
  };
  place.querySelector("button").addEventListener("click", takeFace);
  return { ...jobBar(place.querySelector(".bar-place")), takeFace };
}

async function aFace(grey) {
  const face = await bitmap(`api/face.png?size=512&seed=${anySeed()}`);
  const paper = new OffscreenCanvas(face.width, face.height);
  const context = paper.getContext("2d");
  if (grey) context.filter = "grayscale(1)";
  context.drawImage(face, 0, 0);
  return paper.convertToBlob({ type: "image/png" });
}

// A file under its name, as a click on a link would bring it.
export function download(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}
