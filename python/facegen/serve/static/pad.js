// A sheet of paper: pen, eraser, brush size, undo and redo; by mouse, finger, pen, or keys. Where
// there are colours, pencils and papers of each.

const BLACK = "#000000";
const WHITE = "#ffffff";
const SHARPER = 2; // pixels shown for one that is sent
const STEP = 6; // of the pen that arrow keys move

const icon = (name) => `<svg class="icon"><use href="static/icons.svg#${name}"/></svg>`;

// A row of colours to choose one of, {name: colour}, the first at the beginning.
function swatches(group, title, colours) {
  const each = ([name, colour], i) => `
    <label class="swatch" title="${name}">
      <input class="unseen" type="radio" name="${group}" value="${colour}" aria-label="${name}"
        ${i === 0 ? "checked" : ""}></label>`;
  return `<fieldset class="swatches"><legend>${title}</legend>
    ${Object.entries(colours).map(each).join("")}</fieldset>`;
}

// `side` is what is sent, `width` the pen's at first, `most` the largest brush; `inks` and `papers`
// are colours to choose from, {name: colour}: black on white if not given.
export function addPad(place, { side, width, most, label, inks, papers }, changed) {
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
    ${inks ? swatches("ink", "Pencil", inks) + swatches("paper", "Paper", papers) : ""}
    <p class="keys">Keys: arrows move the pen, Space puts it down and lifts it,
      Ctrl-Z takes a line back.</p>`;
  for (const each of place.querySelectorAll(".swatch")) {
    each.style.background = each.firstElementChild.value;
  }
  const canvas = place.querySelector("canvas");
  const pen = place.querySelector(".pen-place");
  const size = place.querySelector("[type=range]");
  const chosen = (group) => place.querySelector(`[name=${group}]:checked`)?.value;
  const button = (name) => place.querySelector(`[data-do=${name}]`);
  canvas.width = canvas.height = side * SHARPER;
  canvas.setAttribute("aria-label", label);
  place.querySelector("[role=group]").setAttribute("aria-label", `Tools of: ${label}`);
  Object.assign(size, { max: most, value: width });
  const sizes = { pen: width, eraser: Math.min(most, 8 * width) };

  let tool = "pen";
  // Each {tool, ink, width, points}, or {picture, paper}, or {paper}, or {clear: true}.
  let done = [];
  let undone = [];
  let line = null; // the one being drawn
  let spot = [side / 2, side / 2]; // of the pen that keys move

  const paint = (context, scale) => {
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.lineCap = context.lineJoin = "round";
    const paper = paperNow();
    const blank = () => { context.fillStyle = paper; context.fillRect(0, 0, side, side); };
    blank();
    for (const each of done) {
      if (each.clear) blank();
      else if (each.picture) context.drawImage(each.picture, 0, 0, side, side);
      else if (each.points) stroke(context, each, each.tool === "pen" ? each.ink : paper);
    }
  };
  // What was put last lies under everything; a cleared sheet is a new one.
  const paperNow = () => {
    const last = done.findLast((each) => each.clear || each.paper);
    return last?.paper ?? WHITE;
  };
  const stroke = (context, { width, points }, colour) => {
    context.strokeStyle = colour;
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
    for (const each of place.querySelectorAll("[name=paper]")) each.checked = each.value === paperNow();
    changed(isBlank());
  };
  const isBlank = () => done.length === 0 || done.at(-1).clear === true;
  const add = (item) => {
    done.push(item);
    undone = [];
    update();
  };
  const begin = (point) => {
    const ink = chosen("ink") ?? BLACK;
    line = { tool, ink, width: Number(size.value), points: [point] };
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
  place.addEventListener("change", ({ target }) => {
    if (target.name === "ink") choose("pen");
    if (target.name === "paper") add({ paper: target.value });
  });
  update();

  return {
    // The drawing as a PNG of `side` x `side`.
    async png() {
      const paper = new OffscreenCanvas(side, side);
      paint(paper.getContext("2d"), 1);
      return paper.convertToBlob({ type: "image/png" });
    },
    // A picture on a paper, as one step that can be undone.
    put: (item) => add(item),
  };
}
