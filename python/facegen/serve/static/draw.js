// Draw: the paper is sent while it is drawn on, and the network's picture appears beside it.

import { newestOnly, picture, show } from "./api.js";
import { jobBar, upload } from "./photo.js";
import { addPad } from "./pad.js";
import { showError } from "./say.js";
import { INKS, PAPERS, STARTERS, WIDTH, loadStarter } from "./starters.js";

const $ = (id) => document.getElementById(id);
const SIDE = 256;

export function startDraw() {
  const send = newestOnly(async () => {
    const drawing = await pad.png();
    show($("drawn"), await picture("api/draw", { method: "POST", body: drawing }));
    $("save-drawn").href = $("drawn").src;
    const before = $("save-paper").href;
    $("save-paper").href = URL.createObjectURL(drawing);
    URL.revokeObjectURL(before);
  });
  let pad = null; // it calls when it is made
  const changed = () => { if (pad) send(); };
  const label = "Paper for the network's drawing";
  const colours = { inks: INKS, papers: PAPERS };
  pad = addPad($("draw-pad"), { side: SIDE, width: WIDTH, most: 24, label, ...colours }, changed);

  Object.keys(STARTERS).forEach(async (name, i) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.setAttribute("aria-label", `Begin with ${name}`);
    item.append(button);
    $("starters").append(item);
    try {
      const drawing = await loadStarter(name);
      button.append(drawing);
      const { paper } = STARTERS[name];
      button.style.background = paper;
      const begin = () => pad.put({ picture: drawing, paper });
      button.addEventListener("click", begin);
      if (i === 0) begin(); // there is something to see at once
    } catch (error) {
      showError(error);
    }
  });

  // A picture of any size: long work, which is told of.
  const bar = jobBar($("draw-job"));
  $("draw-file").addEventListener("change", async () => {
    const [file] = $("draw-file").files;
    if (!file) return;
    try {
      await bar.run(async (tell, signal, job) => {
        const { address } = await upload(file, (done) => tell(0.2 * done, "sending"), signal);
        const size = $("draw-own").checked ? "own" : "trained";
        await job(`${address}/drawing?size=${size}`);
        show($("drawn"), await picture(`${address}/files/drawn.jpg`));
        $("save-drawn").href = `${address}/files/drawn.png`;
      });
    } catch (error) {
      showError(error);
    }
    $("draw-file").value = ""; // so that the same one can be chosen again
  });
}
