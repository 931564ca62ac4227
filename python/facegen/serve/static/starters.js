// Drawings to begin with, 256 pixels a side, lines on nothing: people as the package's own network
// learned from, but for an unsteady hand (static/person-N.png is what `drawings` of
// facegen.train.pix2pix.portraits makes of person N, seed 0, in coloured pencils), each with its paper, and a cat. Pencils and papers are of such colours, too.

export const STARTERS = {
  "a face with a bun": { file: "person-3.png", paper: "#f5efd7" },
  "a smiling face with short hair": { file: "person-8.png", paper: "#eef6f9" },
  "a face with glasses": { file: "person-0.png", paper: "#f2e8db" },
  "a face with a moustache": { file: "person-5.png", paper: "#fcefd1" },
  "a cat": { file: "cat.svg", paper: "#ffffff" },
};

export const INKS = {
  "black": "#000000",
  "dark hair": "#2b1d17",
  "brown hair": "#6a452f",
  "red hair": "#a3522e",
  "fair hair": "#b3905f",
  "grey hair": "#8d8c8c",
  "dark skin": "#593a2b",
  "brown skin": "#8c5d45",
  "tan skin": "#b98a6d",
  "light skin": "#d0aa94",
  "lips": "#9c4740",
  "blue cloth": "#2f3f63",
  "green cloth": "#5f8a50",
  "violet cloth": "#6d4a7c",
};

export const PAPERS = {
  "white": "#ffffff",
  "sand": "#f7eedb",
  "coral": "#f4dbd1",
  "sage": "#e9eee2",
  "sky": "#dfe8f0",
  "mauve": "#e3d7d5",
};

export const WIDTH = 1; // of their lines, in pixels of 256

export async function loadStarter(name) {
  const image = new Image();
  image.alt = ""; // what shows it has a name
  image.src = `static/${STARTERS[name].file}`;
  await image.decode();
  return image;
}
