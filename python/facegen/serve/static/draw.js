// Draw: the canvas is sent while it is drawn on, and the network's picture appears beside it.

import { newestOnly, picture, show } from "./api.js";

const $ = (id) => document.getElementById(id);
const TOOLS = {
  line: { colour: "#000", width: 2 },
  eraser: { colour: "#fff", width: 16 },
};

export function startDraw() {
  const paper = $("paper");
  const context = paper.getContext("2d");
  let strokes = []; // each {tool, points: [[x, y], ...]}
  let stroke = null; // the one being drawn
  let tool = "line";

  const repaint = () => {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, paper.width, paper.height);
    context.lineCap = context.lineJoin = "round";
    for (const { tool, points } of strokes) {
      context.strokeStyle = TOOLS[tool].colour;
      context.lineWidth = TOOLS[tool].width;
      context.beginPath();
      context.moveTo(...points[0]);
      for (const point of points) context.lineTo(...point);
      context.stroke();
    }
  };
  const send = newestOnly(async () => {
    const drawing = await new Promise((resolve) => paper.toBlob(resolve, "image/png"));
    const made = await picture("/api/draw", { method: "POST", body: drawing });
    show($("drawn"), made);
    $("save-drawn").href = made;
  });
  const changed = () => {
    repaint();
    $("save-paper").href = paper.toDataURL("image/png");
    send();
  };
  const place = (event) => {
    const box = paper.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * paper.width) / box.width,
      ((event.clientY - box.top) * paper.height) / box.height,
    ];
  };
  const choose = (name) => {
    tool = name;
    for (const each of Object.keys(TOOLS)) {
      $(each).setAttribute("aria-pressed", each === name);
    }
  };
  const undo = () => {
    strokes.pop();
    changed();
  };

  paper.addEventListener("pointerdown", (event) => {
    paper.setPointerCapture(event.pointerId);
    stroke = { tool, points: [place(event)] };
    strokes.push(stroke);
    changed();
  });
  paper.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    for (const each of event.getCoalescedEvents()) stroke.points.push(place(each));
    changed();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    paper.addEventListener(name, () => { stroke = null; });
  }
  $("line").addEventListener("click", () => choose("line"));
  $("eraser").addEventListener("click", () => choose("eraser"));
  $("undo").addEventListener("click", undo);
  $("clear").addEventListener("click", () => {
    strokes = [];
    changed();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && !$("draw").hidden) undo();
  });

  changed();
}
