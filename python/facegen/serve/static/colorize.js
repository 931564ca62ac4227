// Colourise: a photo is sent once; its colours come back at any strength, before and after.

import { newestOnly, picture, show } from "./api.js";
import { addDrop, download, preview, upload } from "./photo.js";
import { showError } from "./say.js";

const $ = (id) => document.getElementById(id);

export function startColorize() {
  let photo = null; // {file, address, width, height}

  const strength = () => `strength=${$("strength").value}`;
  const recolour = newestOnly(async () => {
    show($("after"), await picture(`${photo.address}/colour.jpg?${strength()}`));
  });
  const bar = addDrop($("colorize-photo"), "A grey photo", async (file) => {
    try {
      await bar.run(async (tell, signal, job) => {
        const sent = await upload(file, (done) => tell(0.2 * done, "sending"), signal);
        $("colorize-tools").hidden = $("compare").hidden = true;
        const before = preview(sent.address, signal);
        await job(`${sent.address}/colours`);
        photo = { file, ...sent };
        show($("before"), await before);
        show($("after"), await picture(`${sent.address}/colour.jpg?${strength()}`));
        $("save-photo").querySelector("span").textContent = `PNG, ${sent.width} \u00d7 ${sent.height}`;
        $("colorize-tools").hidden = $("compare").hidden = false;
      });
    } catch (error) {
      showError(error);
    }
  }, { grey: true });
  $("strength").addEventListener("input", () => {
    $("strength-value").textContent = Number($("strength").value).toFixed(1);
    recolour();
  });
  $("split").addEventListener("input", () => {
    $("compare").style.setProperty("--split", `${$("split").value}%`);
  });
  $("save-photo").addEventListener("click", async () => {
    try {
      const done = await bar.run((tell, signal, job) => job(`${photo.address}/colour-file?${strength()}`));
      const name = (photo.file.name ?? "photo").replace(/\.[^.]*$/, "");
      if (done) download(`${photo.address}/files/colour.png`, `${name}-colour.png`);
    } catch (error) {
      showError(error);
    }
  });
}
