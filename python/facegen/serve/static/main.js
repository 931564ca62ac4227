// Tabs. Each part starts when it is first shown; the address says which one that is.

import { ask } from "./api.js";
import { readAddress } from "./address.js";
import { copy, showError } from "./say.js";
import { startFaces } from "./faces.js";
import { startDraw } from "./draw.js";
import { startColorize } from "./colorize.js";
import { startSegment } from "./segment.js";
import { startDigits } from "./digits.js";

const PARTS = {
  faces: startFaces,
  draw: startDraw,
  colorize: startColorize,
  segment: startSegment,
  digits: startDigits,
};
const $ = (id) => document.getElementById(id);
const tabs = [...document.querySelectorAll("[role=tab]")];
const started = new Set();
const nameOf = (tab) => tab.id.replace("tab-", "");

function open(name, info) {
  for (const tab of tabs) {
    const chosen = nameOf(tab) === name;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
  // No part has its name in the address as its id: the browser would go there, and lose the focus.
  for (const part of Object.keys(PARTS)) $(`part-${part}`).hidden = part !== name || !info[part];
  $("missing").hidden = info[name];
  $("missing-part").textContent = $(`tab-${name}`).textContent;
  $("missing").setAttribute("aria-labelledby", `tab-${name}`);
  const hint = info.hints[name] ?? "";
  $("command").textContent = hint;
  $("hint").textContent = hint;
  $("hint").hidden = !info[name] || hint === "";
  document.title = name === "faces" ? "facegen" : `${$(`tab-${name}`).textContent} - facegen`;
  if (info[name] && !started.has(name)) {
    started.add(name);
    PARTS[name](info);
  }
}

// Arrows, Home and End go from tab to tab, as in any list of tabs.
function chooseByKey(event) {
  const at = tabs.indexOf(event.target);
  const last = tabs.length - 1;
  const places = {
    ArrowRight: at === last ? 0 : at + 1,
    ArrowLeft: at === 0 ? last : at - 1,
    Home: 0,
    End: last,
  };
  if (!(event.key in places)) return;
  event.preventDefault();
  tabs[places[event.key]].focus();
  tabs[places[event.key]].click();
}

async function start() {
  if (location.search) history.replaceState(null, "", location.pathname + location.hash); // a token
  // Tabs are chosen from the first moment on: the address keeps which, until it is known what there is.
  for (const tab of tabs) {
    tab.addEventListener("click", () => { location.hash = nameOf(tab); });
    tab.addEventListener("keydown", chooseByKey);
  }
  const info = await (await ask("api/info")).json();
  $("version").textContent = info.version;
  for (const tab of tabs) {
    if (!info[nameOf(tab)]) tab.setAttribute("aria-controls", "missing");
  }
  $("copy-command").addEventListener("click", async () => {
    await copy($("command").textContent, "Copied.", "This browser copies from https pages alone.");
  });
  const fromAddress = () => {
    const { part } = readAddress();
    open(part in PARTS ? part : "faces", info);
  };
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
}

start().catch(showError);
