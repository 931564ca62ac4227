// A sheet of paper: pen, eraser, brush size, undo and redo; by mouse, finger, pen, or keys.

const WHITE = "#fff";
const SHARPER = 2; // pixels shown for one that is sent
const STEP = 6; // of the pen that arrow keys move

const icon = (name) => `<svg class="icon"><use href="static/icons.svg#${name}"/></svg>`;

// `side` is what is sent, `width` the pen's at first, `most` the largest brush.
export function addPad(place, { side, width, most, label }, changed) {
  place.innerHTML = `
    <div class="pad"><canvas tabindex="0" role="application"></canvas>
      <span class="pen-place" hidden></span></div>
    <div class="row" role="group">
      <button data-do="pen" aria-pressed="true">${icon("pen")}Pen</button>
      <button data-do="eraser" aria-pressed="false">${icon("eraser")}Eraser</button>
      <label class="brush">Size <input type="range" min="1" step="1"></label>
      <button data-do="undo" aria-label="Undo" title="Undo (Ctrl-Z)">${icon("undo")}</button>
      <button data-do="redo" aria-label="Redo" title="Redo (Ctrl-Shift-Z)">${icon("redo")}</button>
      <button data-do="clear" aria-label="Clear" title="Clear">${icon("clear")}<span>Clear</span></button>
    </div>
    <p class="keys">Keys: arrows move the pen, Space puts it down and lifts it,
      Ctrl-Z takes a line back.</p>`;
  const canvas = place.querySelector("canvas");
  const pen = place.querySelector(".pen-place");
  const size = place.querySelector("input");
  const button = (name) => place.querySelector(`[data-do=${name}]`);
  canvas.width = canvas.height = side * SHARPER;
  canvas.setAttribute("aria-label", label);
  place.querySelector("[role=group]").setAttribute("aria-label", `Tools of: ${label}`);
  Object.assign(size, { max: most, value: width });
  const sizes = { pen: width, eraser: Math.min(most, 8 * width) };

  let tool = "pen";
  let done = []; // each {tool, width, points}, or {picture}, or {clear: true}
  let undone = [];
  let line = null; // the one being drawn
  let spot = [side / 2, side / 2]; // of the pen that keys move

  const paint = (context, scale) => {
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.lineCap = context.lineJoin = "round";
    const blank = () => { context.fillStyle = WHITE; context.fillRect(0, 0, side, side); };
    blank();
    for (const each of done) {
      if (each.clear) blank();
      else if (each.picture) context.drawImage(each.picture, 0, 0, side, side);
      else stroke(context, each);
    }
  };
  const stroke = (context, { tool, width, points }) => {
    context.strokeStyle = tool === "pen" ? "#000" : WHITE;
    context.lineWidth = width;
    context.beginPath();
    context.moveTo(...points[0]);
    context.lineTo(points[0][0] + 0.01, points[0][1]); // a dot: lines without a length are not drawn
    for (const point of points) context.lineTo(...point);
    context.stroke();
  };
  const update = () => {
    paint(canvas.getContext("2d"), SHARPER);
    button("undo").disabled = done.length === 0;
    button("redo").disabled = undone.length === 0;
    changed(isBlank());
  };
  const isBlank = () => done.length === 0 || done.at(-1).clear === true;
  const add = (item) => {
    done.push(item);
    undone = [];
    update();
  };
  const begin = (point) => {
    line = { tool, width: Number(size.value), points: [point] };
    add(line);
  };
  const end = () => { line = null; };

  const actions = {
    pen: () => choose("pen"),
    eraser: () => choose("eraser"),
    undo: () => { if (done.length) { end(); undone.push(done.pop()); update(); } },
    redo: () => { if (undone.length) { done.push(undone.pop()); update(); } },
    clear: () => { if (!isBlank()) { end(); add({ clear: true }); } },
  };
  const choose = (name) => {
    sizes[tool] = Number(size.value);
    tool = name;
    size.value = sizes[name];
    for (const each of ["pen", "eraser"]) button(each).setAttribute("aria-pressed", each === name);
  };

  const placeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) * side) / box.width,
      ((event.clientY - box.top) * side) / box.height,
    ];
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pen.hidden = true;
    begin(placeOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!line) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) line.points.push(placeOf(each));
    update();
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, end);

  const MOVES = {
    ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP],
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.key === " ") line ? end() : begin([...spot]);
    else if (event.key in MOVES) {
      spot = spot.map((at, i) => Math.min(side, Math.max(0, at + MOVES[event.key][i])));
      if (line) {
        line.points.push([...spot]);
        update();
      }
    } else return;
    event.preventDefault();
    pen.hidden = false;
    pen.classList.toggle("down", line !== null);
    pen.style.left = `${(100 * spot[0]) / side}%`;
    pen.style.top = `${(100 * spot[1]) / side}%`;
  });
  canvas.addEventListener("blur", () => { end(); pen.hidden = true; });
  document.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || place.offsetParent === null) return;
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    actions[key === "y" || event.shiftKey ? "redo" : "undo"]();
  });
  for (const [name, act] of Object.entries(actions)) button(name).addEventListener("click", act);
  update();

  return {
    // The drawing as a PNG of `side` x `side`.
    async png() {
      const paper = new OffscreenCanvas(side, side);
      paint(paper.getContext("2d"), 1);
      return paper.convertToBlob({ type: "image/png" });
    },
    // A picture, or lines [{width, points}], as one step that can be undone.
    put: (item) => add(item),
  };
}
