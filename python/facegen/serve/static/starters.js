// Drawings to begin with: outlines that the pen could have drawn, in a square of 256.

// Points on an arc of an ellipse, in degrees from the right, clockwise.
const arc = (x, y, rx, ry, from = 0, to = 360) =>
  [...Array(37).keys()].map((i) => {
    const angle = ((from + ((to - from) * i) / 36) * Math.PI) / 180;
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });

const FACE = [
  arc(128, 122, 62, 80),
  arc(103, 112, 12, 6), arc(153, 112, 12, 6), arc(103, 112, 4, 5), arc(153, 112, 4, 5),
  arc(103, 97, 17, 7, 200, 340), arc(153, 97, 17, 7, 200, 340),
  [[128, 115], [122, 142], [134, 143]],
  arc(128, 160, 22, 12, 15, 165),
];
const SHOULDERS = [[[20, 256], [34, 226], [104, 206], [106, 192]], [[236, 256], [222, 226], [152, 206], [150, 192]]];

export const STARTERS = {
  "a face with short hair": [
    ...FACE, ...SHOULDERS,
    arc(128, 92, 68, 62, 172, 368),
    [[68, 92], [88, 66], [128, 58], [168, 66], [188, 92]],
  ],
  "a face with long hair": [
    ...FACE, ...SHOULDERS,
    arc(128, 104, 78, 84, 180, 360),
    [[50, 104], [46, 160], [40, 214]], [[206, 104], [210, 160], [216, 214]],
    [[70, 100], [102, 62], [132, 52], [160, 66], [188, 100]],
  ],
  "a face with glasses": [
    ...FACE, ...SHOULDERS,
    arc(102, 113, 22, 18), arc(154, 113, 22, 18), [[124, 111], [132, 111]],
    arc(128, 90, 68, 60, 172, 368),
  ],
  "a cat": [
    arc(128, 142, 74, 66),
    [[62, 112], [58, 42], [104, 80]], [[194, 112], [198, 42], [152, 80]],
    arc(98, 130, 13, 15), arc(158, 130, 13, 15), arc(98, 130, 3, 12), arc(158, 130, 3, 12),
    [[120, 158], [136, 158], [128, 167], [120, 158]],
    [[128, 167], [128, 176]], arc(114, 176, 14, 9, 0, 150), arc(142, 176, 14, 9, 30, 180),
    [[90, 162], [30, 152]], [[90, 169], [28, 172]], [[166, 162], [226, 152]], [[166, 169], [228, 172]],
  ],
};

export const WIDTH = 2;

// The lines of a drawing as a picture, for a pad and for a button.
export async function drawn(lines, side) {
  const paper = new OffscreenCanvas(side, side);
  const context = paper.getContext("2d");
  context.scale(side / 256, side / 256);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, 256, 256);
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = WIDTH;
  for (const points of lines) {
    context.beginPath();
    points.forEach(([x, y]) => context.lineTo(x, y));
    context.stroke();
  }
  return createImageBitmap(paper);
}
