// Colourise: a dropped photo is sent, and comes back in colour; a slider shows before and after.

import { newestOnly, picture, show } from "./api.js";

const $ = (id) => document.getElementById(id);

export function startColorize() {
  let photo = null;

  const send = newestOnly(async () => {
    const address = `/api/colorize?strength=${$("strength").value}`;
    const type = photo.type.startsWith("image/") ? photo.type : "image/unknown";
    const coloured = await picture(address, {
      method: "POST",
      body: photo,
      headers: { "Content-Type": type },
    });
    show($("before"), URL.createObjectURL(photo));
    show($("after"), coloured);
    $("save-photo").href = coloured;
    $("compare").hidden = $("photo-tools").hidden = false;
  });
  const take = (files) => {
    if (files.length === 0) return;
    photo = files[0];
    send();
  };

  const drop = $("drop");
  drop.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
  $("file").addEventListener("change", () => take($("file").files));
  $("strength").addEventListener("input", () => send());
  $("split").addEventListener("input", () => {
    $("compare").style.setProperty("--split", `${$("split").value}%`);
  });
}
