// A wall of faces that look where the pointer is, and smile when it reaches them.
//
// The server draws each face at several places along one slider ("turn", where there is one); they
// are faded into each other here. Without a pointer a wave goes along the wall. Who wants no motion
// gets none: faces look ahead.

import { bitmap, newestOnly } from "./api.js";
import { drawSquare } from "./film.js";

const COUNT = 24;
const COLUMNS = 8; // of the server's sheets, and of the wall on a wide screen
const STEPS = 7;
const SMILE = 2.2;
const SIDE = 160; // pixels of a canvas
const TURNS_WITHIN = 420; // pixels from a face at which it looks all the way aside
const EASE = 0.12; // of the way that is left, each frame
const still = matchMedia("(prefers-reduced-motion: reduce)");

export function startWall(place, title, names, choose) {
  const along = names.includes("turn") ? "turn" : names[0];
  const smiles = names.includes("smile") && along !== "smile";
  let first = 0;
  let faces = []; // each {button, canvas, turn, smile, wantsSmile, drawn}
  let sheets = {}; // ahead, which is there first; turning, smiling
  let pointer = null;
  let running = false;

  const address = (from, smile) =>
    `api/wall.png?first=${from}&count=${COUNT}&steps=${STEPS}&along=${along}` +
    (smile ? `&smile=${smile}` : "");

  const load = newestOnly(async () => {
    const from = first;
    sheets = { ahead: await bitmap(`api/faces.png?first=${from}&count=${COUNT}`) };
    hang(from);
    if (still.matches) return;
    sheets.turning = await bitmap(address(from, 0));
    if (smiles) sheets.smiling = await bitmap(address(from, SMILE));
  });

  const hang = (from) => {
    title.textContent = `The wall: seeds ${from} to ${from + COUNT - 1}`;
    faces = [...Array(COUNT).keys()].map((i) => {
      const button = document.createElement("button");
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = SIDE;
      button.dataset.seed = `No. ${from + i}`;
      button.setAttribute("aria-label", `Seed ${from + i}`);
      button.append(canvas);
      const face = { button, canvas, turn: 0, smile: 0, wantsSmile: false, drawn: "" };
      button.addEventListener("click", () => choose(from + i));
      for (const [event, wants] of [
        ["pointerenter", true], ["pointerleave", false], ["focus", true], ["blur", false],
      ]) {
        button.addEventListener(event, () => { face.wantsSmile = wants; });
      }
      return face;
    });
    place.replaceChildren(...faces.map((face) => face.button));
    faces.forEach(draw);
  };

  // The frames next to where a face looks, and the smiling ones over them.
  const draw = (face, row) => {
    const key = `${face.turn.toFixed(3)} ${face.smile.toFixed(3)}`;
    if (key === face.drawn) return;
    face.drawn = key;
    if (!sheets.turning) {
      const side = sheets.ahead.width / COLUMNS;
      const [x, y] = [side * (row % COLUMNS), side * Math.floor(row / COLUMNS)];
      drawSquare(face.canvas, sheets.ahead, x, y, side, side);
      return;
    }
    const side = sheets.turning.height / COUNT;
    const at = ((face.turn + 1) / 2) * (STEPS - 1);
    const step = Math.min(Math.floor(at), STEPS - 2);
    const layer = (sheet, i, share) =>
      drawSquare(face.canvas, sheet, side * i, side * row, side, side, share);
    layer(sheets.turning, step, 1);
    layer(sheets.turning, step + 1, at - step);
    if (sheets.smiling && face.smile > 0.01) {
      layer(sheets.smiling, step, face.smile);
      layer(sheets.smiling, step + 1, face.smile * (at - step));
    }
  };

  const move = (time) => {
    running = !still.matches && place.offsetParent !== null;
    if (!running) return;
    requestAnimationFrame(move);
    if (!sheets.turning) return;
    const boxes = faces.map((face) => face.button.getBoundingClientRect());
    faces.forEach((face, i) => {
      const box = boxes[i];
      if (box.bottom < 0 || box.top > innerHeight) return; // nobody sees it
      let goal = 0.75 * Math.sin(time / 1700 + (i % COLUMNS) * 0.55 + Math.floor(i / COLUMNS) * 0.9);
      if (pointer) {
        const aside = (pointer.x - box.x - box.width / 2) / TURNS_WITHIN;
        goal = Math.min(1, Math.max(-1, aside));
      }
      face.turn += EASE * (goal - face.turn);
      face.smile += EASE * ((face.wantsSmile ? 1 : 0) - face.smile);
      draw(face, i);
    });
  };
  const wake = () => { if (!running) requestAnimationFrame(move); }; // when it is seen again

  document.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") pointer = { x: event.clientX, y: event.clientY };
  });
  document.documentElement.addEventListener("pointerleave", () => { pointer = null; });
  window.addEventListener("hashchange", () => setTimeout(wake));
  still.addEventListener("change", () => { load(); wake(); });
  wake();

  return {
    load,
    turnPage(walls) {
      first = Math.max(0, first + walls * COUNT);
      load();
    },
  };
}
