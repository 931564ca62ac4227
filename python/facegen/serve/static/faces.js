// Faces: a portrait that walks from face to face until it is touched, and what shapes it.

import { bitmap, newestOnly, picture, showBehind } from "./api.js";
import { anySeed, faceOf, queryOf, readAddress } from "./address.js";
import { startFavourites } from "./favourites.js";
import { drawFilm, drawSquare, loadFilm, secondsAt, wayAt } from "./film.js";
import { copy, say, showError } from "./say.js";
import { seedField } from "./seedfield.js";
import { addSliders } from "./sliders.js";
import { startWall } from "./wall.js";

const $ = (id) => document.getElementById(id);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function wordsOf({ seed, to, t }) {
  if (t === 0 || t === 1) return `No. ${t === 0 ? seed : to}`;
  return `${Math.round(100 * t)}% of the way from No. ${seed} to No. ${to}`;
}

export function startFaces(info) {
  const sliders = addSliders($("sliders"), info.sliders, info.reach, () => { stop(); draw(); }, remember);
  const face = { seed: anySeed(), to: anySeed(), t: 0, amounts: sliders.amounts() };
  let walking = null; // {film, began}, while it walks

  // What the face is, without the way to another.
  const at = (seed) => queryOf({ seed, to: null, t: 0, amounts: face.amounts });
  const query = () => queryOf(face);

  const drawFace = newestOnly(async () => {
    const drawn = await bitmap(`api/face.png?size=512&${query()}`);
    if (walking?.film) return;
    drawSquare($("face"), drawn, 0, 0, drawn.width, info.side);
  });
  const drawEnds = newestOnly(async () => {
    showBehind(sliders.ends, await picture(`api/ends.png?${query()}`));
    sliders.place(sliders.ends);
    await pause(150); // these are many faces, and less urgent
  });
  const drawSlots = newestOnly(async () => {
    for (const [slot, seed] of [["a", face.seed], ["b", face.to]]) {
      showBehind([$(`slot-${slot}`)], await picture(`api/face.png?size=128&${at(seed)}`));
      $(`slot-${slot}`).setAttribute("aria-label", `Go to seed ${seed}`);
    }
  });

  const showSeed = {
    a: seedField($("seed-a"), $("seed-a-wrong"), stop, (seed) => goTo({ seed, t: 0 })),
    b: seedField($("seed-b"), $("seed-b-wrong"), stop, (to) => goTo({ to, t: 1 })),
  };
  const tell = () => {
    const words = wordsOf(face);
    $("plate").textContent = words;
    $("face").setAttribute("aria-label", `A face: ${words}`);
    $("t").value = face.t;
    $("t").setAttribute("aria-valuetext", words);
    $("save-face").href = `api/face.png?size=512&${query()}`;
    const ends = new URLSearchParams([["face", at(face.seed)], ["face", at(face.to)]]);
    $("save-walk").href = `api/walk.gif?${ends}`;
  };

  // Draw all of it anew, as after each change that is not a step of a walk.
  function draw() {
    face.amounts = sliders.amounts();
    showSeed.a(face.seed);
    showSeed.b(face.to);
    tell();
    if (!walking) drawFace();
    drawEnds();
    drawSlots();
  }
  // Into the address, so that it can be shared and the browser's Back undoes it.
  function remember() {
    const hash = `#faces?${query()}`;
    if (location.hash !== hash) history.pushState(null, "", hash);
  }
  const goTo = (change) => {
    stop();
    Object.assign(face, change);
    draw();
    remember();
  };
  const recall = () => {
    const { part, query } = readAddress();
    const found = part === "faces" ? faceOf(query, info.sliders, info.reach) : null;
    if (found === null) return false;
    stop();
    Object.assign(face, found, { to: found.to ?? face.to });
    sliders.set(face.amounts);
    draw();
    return true;
  };

  // Walking.
  async function walk() {
    const leg = { film: null, began: 0 };
    walking = leg;
    showWalking();
    try {
      leg.film = await loadFilm(at(face.seed), at(face.to));
    } catch (error) {
      showError(error);
      return stop();
    }
    if (walking !== leg) return; // it was stopped, or began anew, meanwhile
    leg.began = performance.now() - 1000 * secondsAt(face.t);
    requestAnimationFrame(step);
  }
  function step(now) {
    if (!walking?.film) return;
    if (!$("part-faces").hidden) {
      const t = wayAt((now - walking.began) / 1000);
      if (t > 1) return nextLeg();
      face.t = Math.round(1000 * Math.min(t, 1)) / 1000;
      drawFilm($("face"), walking.film, Math.min(t, 1));
      tell();
    }
    requestAnimationFrame(step);
  }
  function nextLeg() {
    Object.assign(face, { seed: face.to, to: anySeed(), t: 0 });
    draw();
    walk();
  }
  function stop() {
    if (!walking) return;
    walking = null;
    showWalking();
  }
  function showWalking() {
    $("walk").setAttribute("aria-pressed", walking !== null);
    $("walk").querySelector("span").textContent = walking ? "Pause" : "Walk";
    $("walk").querySelector("use").setAttribute("href", `static/icons.svg#${walking ? "pause" : "play"}`);
  }

  $("walk").addEventListener("click", () => {
    if (walking) {
      stop();
      draw();
      remember();
    } else {
      if (face.t === 1) Object.assign(face, { seed: face.to, to: anySeed(), t: 0 });
      draw();
      walk();
    }
  });
  $("t").addEventListener("input", () => {
    stop();
    face.t = Number($("t").value);
    tell();
    drawFace();
  });
  $("t").addEventListener("change", () => { draw(); remember(); });
  $("slot-a").addEventListener("click", () => goTo({ t: 0 }));
  $("slot-b").addEventListener("click", () => goTo({ t: 1 }));
  $("random").addEventListener("click", () => goTo({ seed: anySeed(), to: anySeed(), t: 0 }));
  $("reset").addEventListener("click", () => {
    sliders.set({});
    goTo({});
  });
  $("link").addEventListener("click", () => {
    stop();
    draw();
    remember();
    const elsewhere = "The address of this face is in the address bar.";
    copy(location.href, "The address of this face is copied.", elsewhere);
  });
  const favourites = startFavourites((query) => {
    location.hash = `#faces?${query}`;
  });
  $("keep").addEventListener("click", () => {
    stop();
    draw();
    say(favourites.add(query()) ? "Kept below, in this browser." : "This face is kept already.");
  });
  const wall = startWall($("wall"), $("wall-title"), info.sliders, (seed) => {
    goTo({ seed, t: 0 });
    $("face").scrollIntoView({ block: "nearest", behavior: "smooth" });
  });
  $("earlier").addEventListener("click", () => wall.turnPage(-1));
  $("later").addEventListener("click", () => wall.turnPage(1));
  window.addEventListener("popstate", recall);

  const shared = recall();
  if (!shared) draw();
  wall.load();
  if (!shared && !matchMedia("(prefers-reduced-motion: reduce)").matches) walk();
}
