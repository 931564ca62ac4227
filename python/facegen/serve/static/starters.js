// Drawings to begin with: outlines that the pen could have drawn, in a square of 256.

const STEPS = 64;
const along = (pointAt) => [...Array(STEPS + 1).keys()].map((i) => pointAt(i / STEPS));

// Points on an arc of an ellipse, in degrees from the right, clockwise.
const arc = (x, y, rx, ry, from = 0, to = 360) =>
  along((t) => {
    const angle = ((from + (to - from) * t) * Math.PI) / 180;
    return [x + rx * Math.cos(angle), y + ry * Math.sin(angle)];
  });

// Points on a Bezier curve of four.
const curve = (a, b, c, d) =>
  along((t) => [0, 1].map((i) =>
    a[i] * (1 - t) ** 3 + 3 * b[i] * t * (1 - t) ** 2 + 3 * c[i] * t ** 2 * (1 - t) + d[i] * t ** 3));

const FACE = [
  arc(128, 122, 62, 80),
  arc(103, 112, 12, 6), arc(153, 112, 12, 6), arc(103, 112, 4, 5), arc(153, 112, 4, 5),
  arc(103, 97, 17, 7, 200, 340), arc(153, 97, 17, 7, 200, 340),
  curve([129, 114], [127, 132], [118, 142], [124, 145]), arc(128, 144, 6, 4, 10, 170),
  arc(128, 160, 22, 12, 15, 165),
];
const SHOULDERS = [
  curve([22, 256], [30, 214], [104, 226], [106, 192]),
  curve([234, 256], [226, 214], [152, 226], [150, 192]),
];

export const STARTERS = {
  "a face with short hair": [
    ...FACE, ...SHOULDERS,
    arc(128, 96, 70, 66, 170, 370),
    curve([67, 106], [76, 60], [180, 60], [189, 106]),
  ],
  "a face with long hair": [
    ...FACE, ...SHOULDERS,
    arc(128, 104, 78, 84, 180, 360),
    curve([50, 104], [50, 150], [36, 180], [46, 222]), curve([206, 104], [206, 150], [220, 180], [210, 222]),
    curve([67, 108], [84, 76], [120, 74], [136, 52]), curve([136, 52], [150, 76], [176, 80], [189, 108]),
  ],
  "a face with glasses": [
    ...FACE, ...SHOULDERS,
    arc(102, 113, 22, 18), arc(154, 113, 22, 18), [[124, 111], [132, 111]],
    arc(128, 92, 69, 62, 170, 370),
    curve([67, 104], [70, 84], [150, 84], [168, 62]), curve([168, 62], [172, 84], [186, 88], [189, 104]),
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
