// A walk from face to face as a film: the server's frames on one sheet, faded into each other.

import { bitmap } from "./api.js";

const FRAMES = 48;
const COLUMNS = 8;
const SECONDS = 6; // from one face to the next ...
const REST = 1.2; // ... and at each

export const loadFilm = (from, to) =>
  bitmap(`api/walk.png?frames=${FRAMES}&${new URLSearchParams([["face", from], ["face", to]])}`);

// Draw a square of a picture. Half a pixel of the network's own is left out at its edges, so that
// no neighbour on a sheet shines in.
export function drawSquare(canvas, picture, x, y, side, pixels, share = 1) {
  const context = canvas.getContext("2d");
  const edge = side / pixels / 2;
  context.imageSmoothingQuality = "high";
  context.globalAlpha = share;
  context.drawImage(
    picture, x + edge, y + edge, side - 2 * edge, side - 2 * edge, 0, 0, canvas.width, canvas.height,
  );
}

// Draw what is at `t` (0 to 1) of a film.
export function drawFilm(canvas, film, t) {
  const side = film.width / COLUMNS;
  const place = t * (FRAMES - 1);
  const frame = Math.min(Math.floor(place), FRAMES - 2);
  for (const [i, share] of [[frame, 1], [frame + 1, place - frame]]) {
    drawSquare(canvas, film, side * (i % COLUMNS), side * Math.floor(i / COLUMNS), side, side, share);
  }
}

// How far a walk is after so many seconds, slow at its ends; more than 1 once it has rested.
export function wayAt(seconds) {
  const t = seconds / SECONDS;
  if (t < 1) return (1 - Math.cos(Math.PI * t)) / 2;
  return seconds < SECONDS + REST ? 1 : 2;
}

export function secondsAt(t) {
  return (SECONDS * Math.acos(1 - 2 * t)) / Math.PI;
}
