// A transposed convolution as ordinary ones, and the rows and columns of a matrix product.
//
// Outputs (s y + py, s x + px) of a transposed convolution of stride s, for one (py, px), all meet the
// same taps: they are a phase. Row (y, x) of a phase reads input (y + dy, x + dx) through a tap. An
// ordinary convolution of stride 1 is one phase.
#pragma once

#include <vector>

#include "problem.h"

namespace course {

struct Tap {
  int dy, dx;
  int weight;  // its place in the kernel: ty * kernel + tx
};

struct Phase {
  int py, px;
  std::vector<Tap> taps;
};

// Rows a phase has on an axis: as many as the input has pixels (out = stride * in).
struct Map {
  int h, w;
  int64_t rows(int images) const { return int64_t{images} * h * w; }
};
inline Map map_of(const Problem& p) { return {p.in_h, p.in_w}; }

inline std::vector<Phase> phases_of(const Problem& p) {
  // Distance from a row to what it reads through a tap; false where this phase does not meet it.
  const auto distance = [&](int phase, int t, int* d) {
    if (!p.transposed) {
      *d = t - p.pad;
      return true;
    }
    *d = (phase + p.pad - t) / p.stride;
    return (phase + p.pad - t) % p.stride == 0;
  };
  const int each = p.transposed ? p.stride : 1;
  std::vector<Phase> phases;
  for (int py = 0; py < each; ++py)
    for (int px = 0; px < each; ++px) {
      Phase phase = {py, px, {}};
      for (int t = 0; t < p.taps(); ++t) {
        Tap tap = {0, 0, t};
        if (distance(py, t / p.kernel, &tap.dy) && distance(px, t % p.kernel, &tap.dx)) {
          phase.taps.push_back(tap);
        }
      }
      phases.push_back(phase);
    }
  return phases;
}

// A row of a phase: its pixel, and where things are. All offsets count floats.
struct RowOf {
  int image, y, x;
};
inline RowOf row_of(const Problem& p, int64_t row) {
  const Map map = map_of(p);
  return {static_cast<int>(row / (map.h * map.w)), static_cast<int>(row / map.w % map.h),
          static_cast<int>(row % map.w)};
}
inline int64_t output_of(const Problem& p, const Phase& phase, RowOf r) {
  const int s = p.transposed ? p.stride : 1;
  const int oy = s * r.y + phase.py, ox = s * r.x + phase.px;
  return ((int64_t{r.image} * p.out_h + oy) * p.out_w + ox) * p.out_c;
}
// What a row reads through a tap, or nullptr: padding.
inline const float* input_of(const Problem& p, const float* input, RowOf r, int dy, int dx) {
  const int iy = r.y + dy, ix = r.x + dx;
  if (iy < 0 || iy >= p.in_h || ix < 0 || ix >= p.in_w) return nullptr;
  return input + ((int64_t{r.image} * p.in_h + iy) * p.in_w + ix) * p.in_c;
}

}  // namespace course
