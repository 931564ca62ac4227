// Faces that were kept, in this browser alone: the queries of their addresses, the newest first.

import { letGoBehind, newestOnly, picture, showBehind } from "./api.js";

const KEY = "facegen.kept";
const MOST = 12; // as many as a walk takes

const $ = (id) => document.getElementById(id);

function read() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each === "string") : [];
  } catch {
    return []; // not ours, or a browser that keeps nothing
  }
}

function write(queries) {
  try {
    localStorage.setItem(KEY, JSON.stringify(queries));
  } catch {
    // Then they are kept until the page is closed.
  }
}

// `choose` gets the query of a face that is clicked.
export function startFavourites(choose) {
  let kept = read();

  const show = newestOnly(async () => {
    $("kept").hidden = kept.length === 0;
    const before = $("kept-faces").querySelectorAll("button:first-child");
    const items = await Promise.all(kept.map(item));
    $("kept-faces").replaceChildren(...items.filter(Boolean));
    before.forEach(letGoBehind);
    const shown = kept.filter((_, i) => items[i]); // those of another network are no part of a walk
    $("save-kept").hidden = shown.length < 2;
    $("save-kept").href = `api/walk.gif?${new URLSearchParams(shown.map((q) => ["face", q]))}`;
  });

  const item = async (query) => {
    const name = `seed ${new URLSearchParams(query).get("seed")}`;
    const [entry, face, remove] = ["li", "button", "button"].map((tag) => document.createElement(tag));
    try {
      showBehind([face], await picture(`api/face.png?size=128&${query}`));
    } catch {
      return null; // of another network's sliders
    }
    face.setAttribute("aria-label", `Kept face of ${name}`);
    face.addEventListener("click", () => choose(query));
    remove.textContent = "\u00d7";
    remove.setAttribute("aria-label", `Remove the kept face of ${name}`);
    remove.addEventListener("click", () => change(kept.filter((each) => each !== query)));
    entry.append(face, remove);
    return entry;
  };

  const change = (queries) => {
    kept = queries;
    write(kept);
    show();
  };

  show();
  return {
    // Keep a face; false where it was kept before.
    add(query) {
      if (kept.includes(query)) return false;
      change([query, ...kept].slice(0, MOST));
      return true;
    },
  };
}
