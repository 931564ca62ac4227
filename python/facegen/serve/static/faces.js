// Faces: a seed, a second one to move to, sliders along directions, and a sheet to choose from.

import { newestOnly, picture, show, showError } from "./api.js";

const $ = (id) => document.getElementById(id);

export function startFaces(info) {
  const slots = { a: { seed: 1, button: $("slot-a") }, b: { seed: 2, button: $("slot-b") } };
  const sliders = addSliders(info.directions);
  const perSheet = info.sheet.columns * info.sheet.rows;
  let active = slots.a;
  let first = 0; // seed of the sheet

  const query = () => {
    const pushed = sliders.map((slider) => slider.input.value).join(",");
    return `seed=${slots.a.seed}&to=${slots.b.seed}&t=${$("t").value}&d=${pushed}`;
  };

  const drawFace = newestOnly(async (point) => {
    show($("face"), await picture(`/api/face.png?${point}&size=256`));
    $("save-face").href = `/api/face.png?${point}&size=512`;
  });
  const drawEnds = newestOnly(async (point) => {
    const sprite = await picture(`/api/ends.png?${point}`);
    sliders.forEach((slider, row) => {
      slider.ends.forEach((end, column) => {
        end.style.backgroundImage = `url(${sprite})`;
        end.style.backgroundPosition = `${-48 * column}px ${-48 * row}px`;
      });
    });
    await pause(150); // these are 16 faces, and less urgent
  });
  const drawSlot = async (slot) => {
    const face = await picture(`/api/face.png?seed=${slot.seed}`);
    slot.button.style.backgroundImage = `url(${face})`;
    slot.button.title = `Seed ${slot.seed}`;
  };
  const update = () => {
    drawFace(query());
    drawEnds(query());
  };

  const choose = (slot) => {
    active = slot;
    for (const each of Object.values(slots)) {
      each.button.setAttribute("aria-pressed", each === slot);
    }
    $("seed").value = slot.seed;
  };
  const setSeed = (seed) => {
    active.seed = seed;
    $("seed").value = seed;
    $("t").value = active === slots.a ? 0 : 1;
    drawSlot(active).catch(showError);
    update();
  };

  const drawSheet = newestOnly(async () => {
    const from = first;
    const sheet = await picture(`/api/faces.png?first=${from}`);
    $("gallery-title").textContent = `Seeds ${from} to ${from + perSheet - 1}`;
    const buttons = [...Array(perSheet).keys()].map((i) => {
      const button = document.createElement("button");
      const [column, row] = [i % info.sheet.columns, Math.floor(i / info.sheet.columns)];
      button.title = `Seed ${from + i}`;
      button.setAttribute("aria-label", button.title);
      button.style.backgroundImage = `url(${sheet})`;
      button.style.backgroundPosition =
        `${(100 * column) / (info.sheet.columns - 1)}% ${(100 * row) / (info.sheet.rows - 1)}%`;
      button.addEventListener("click", () => setSeed(from + i));
      return button;
    });
    $("sheet").style.gridTemplateColumns = `repeat(${info.sheet.columns}, 1fr)`;
    $("sheet").replaceChildren(...buttons);
  });
  const turn = (sheets) => {
    first = Math.max(0, first + sheets * perSheet);
    drawSheet();
  };

  for (const slot of Object.values(slots)) {
    slot.button.addEventListener("click", () => {
      choose(slot);
      $("t").value = slot === slots.a ? 0 : 1;
      update();
    });
    drawSlot(slot).catch(showError);
  }
  for (const slider of sliders) {
    slider.input.addEventListener("input", update);
  }
  $("t").addEventListener("input", update);
  $("seed").addEventListener("change", () => {
    const seed = Math.floor(Number($("seed").value));
    if (seed >= 0 && seed <= Number.MAX_SAFE_INTEGER) setSeed(seed);
  });
  $("random").addEventListener("click", () => setSeed(Math.floor(Math.random() * 1e6)));
  $("reset").addEventListener("click", () => {
    for (const slider of sliders) slider.input.value = 0;
    update();
  });
  $("previous").addEventListener("click", () => turn(-1));
  $("next").addEventListener("click", () => turn(1));

  choose(slots.a);
  update();
  drawSheet();
}

// A slider a direction, with the face at either end; a click on an end goes there.
function addSliders(count) {
  return [...Array(count).keys()].map((i) => {
    const row = document.createElement("div");
    row.className = "push";
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: -1, max: 1, step: 0.02, value: 0 });
    input.setAttribute("aria-label", `Direction ${i + 1}`);
    const ends = [-1, 1].map((value) => {
      const end = document.createElement("button");
      end.className = "end";
      end.setAttribute("aria-label", `Direction ${i + 1} at its ${value < 0 ? "start" : "end"}`);
      end.addEventListener("click", () => {
        input.value = value;
        input.dispatchEvent(new Event("input"));
      });
      return end;
    });
    row.append(ends[0], input, ends[1]);
    $("sliders").append(row);
    return { input, ends };
  });
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
