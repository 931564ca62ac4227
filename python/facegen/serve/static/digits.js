// Digits: one is written, and the probabilities of all ten move along.

import { ask, newestOnly } from "./api.js";
import { addPad } from "./pad.js";

const $ = (id) => document.getElementById(id);
const SEEN = 28;

export function startDigits() {
  const rows = [...Array(10).keys()].map((digit) => {
    const [row, name, long, share] = ["li", "span", "span", "span"].map((tag) => document.createElement(tag));
    [long.className, share.className] = ["long", "share"];
    name.textContent = digit;
    row.append(name, long, share);
    $("chances").append(row);
    return { row, long, share };
  });

  const read = newestOnly(async () => {
    if (blank) return; // it was cleared meanwhile
    const body = await pad.png();
    const found = await (await ask("api/digit", { method: "POST", body })).json();
    if (!blank) show(found);
  });
  const show = ({ digit, probabilities, seen }) => {
    $("digit").textContent = digit ?? "\u00a0";
    rows.forEach(({ row, long, share }, i) => {
      long.style.setProperty("--share", `${100 * probabilities[i]}%`);
      share.textContent = `${(100 * probabilities[i]).toFixed(1)}%`;
      row.classList.toggle("best", i === digit);
    });
    const image = new ImageData(SEEN, SEEN);
    seen.forEach((light, i) => image.data.set([light, light, light, 255], 4 * i));
    $("seen").getContext("2d").putImageData(image, 0, 0);
  };
  let pad = null; // it calls when it is made
  let blank = true;
  const changed = (isBlank) => {
    blank = isBlank;
    if (blank) show({ digit: null, probabilities: Array(10).fill(0), seen: Array(SEEN * SEEN).fill(0) });
    else if (pad) read();
  };
  const label = "Paper for a digit";
  pad = addPad($("digit-pad"), { side: 280, width: 20, most: 40, label }, changed);
  pad.put({ tool: "pen", width: 20, points: SEVEN }); // there is something to read at once
}

const SEVEN = [[80, 70], [140, 66], [205, 68], [176, 130], [150, 180], [132, 230]];
