// Segment: what is where in a picture, as colours over it and as a list.

import { picture, show } from "./api.js";
import { addDrop, preview, upload } from "./photo.js";
import { showError } from "./say.js";

const $ = (id) => document.getElementById(id);

export function startSegment() {
  const bar = addDrop($("segment-photo"), "A picture", async (file) => {
    try {
      await bar.run(async (tell, signal, job) => {
        const { address } = await upload(file, (done) => tell(0.2 * done, "sending"), signal);
        $("segment-tools").hidden = $("parts").hidden = true;
        const whole = preview(address, signal);
        const { areas } = await job(`${address}/segments`);
        show($("whole"), await whole);
        show($("overlay"), await picture(`${address}/files/overlay.png`));
        $("legend").replaceChildren(...areas.map(entry));
        $("save-classes").href = `${address}/files/classes.png`;
        $("segment-tools").hidden = $("parts").hidden = false;
      });
    } catch (error) {
      showError(error);
    }
  });
  bar.takeFace(); // there is something to see at once
  $("opacity").addEventListener("input", () => {
    $("overlay").style.opacity = $("opacity").value;
  });
}

function entry({ name, share, colour }) {
  const [item, patch, words, part] = ["li", "i", "span", "span"].map((tag) => document.createElement(tag));
  patch.style.background = `rgb(${colour})`;
  words.textContent = name;
  part.textContent = `${(100 * share).toFixed(1)}%`;
  item.append(patch, words, part);
  return item;
}
