// Tabs. Each part starts when it is first shown.

import { showError } from "./api.js";
import { startFaces } from "./faces.js";
import { startDraw } from "./draw.js";
import { startColorize } from "./colorize.js";

const PARTS = { faces: startFaces, draw: startDraw, colorize: startColorize };
const COMMANDS = {
  faces: "facegen serve --network network.bin",
  draw: "facegen serve --network edges2cats_AtoB.pict",
  colorize: "facegen serve --network colorizer.bin",
};

const started = new Set();

function open(name, info) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.setAttribute("aria-selected", tab.dataset.tab === name);
  }
  for (const part of Object.keys(PARTS)) {
    document.getElementById(part).hidden = part !== name || !info[part];
  }
  const missing = document.getElementById("missing");
  missing.hidden = info[name];
  missing.querySelector("pre").textContent = COMMANDS[name];
  if (info[name] && !started.has(name)) {
    started.add(name);
    PARTS[name](info);
  }
}

async function start() {
  const info = await (await fetch("/api/info")).json();
  document.getElementById("version").textContent = info.version;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    tab.addEventListener("click", () => { location.hash = tab.dataset.tab; });
  }
  const fromAddress = () => {
    const name = location.hash.slice(1);
    open(name in PARTS ? name : "faces", info);
  };
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
}

start().catch(showError);
