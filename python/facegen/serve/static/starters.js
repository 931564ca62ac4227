// Drawings to begin with, 256 pixels a side: people as the package's own network learned from them
// (static/person-N.png is person N of facegen.train.pix2pix.portraits, seed 0), and a cat.

export const STARTERS = {
  "a face with a bun": "person-3.png",
  "a smiling face with short hair": "person-8.png",
  "a face with glasses": "person-0.png",
  "a face with a moustache": "person-5.png",
  "a cat": "cat.svg",
};

export const WIDTH = 1; // of their lines, in pixels of 256

export async function loadStarter(name) {
  const image = new Image();
  image.alt = ""; // what shows it has a name
  image.src = `static/${STARTERS[name]}`;
  await image.decode();
  return image;
}
