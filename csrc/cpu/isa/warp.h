// Pictures resampled along a map of their points, and the way back of gradients.
//
// A point q of the result shows what the picture has at p. Both have coordinates that span -1 to 1,
// x to the right and y down:
//
//   s = q (1 + lens |q|^2),   p = M (s, 1), divided by its third number
//
// and the value there is the sum over 2 x 2 or 4 x 4 pixels around p,
//
//   out[q] = sum over r, c of weight_y[r] weight_x[c] in[row[r]][column[c]]
//
// The adjoint adds weight_y[r] weight_x[c] out[q] to in[row[r]][column[c]] instead. Rows and columns
// outside are mirrored in about the picture's edges, or black.
//
// Points are computed for a vector of pixels of a row at a time; the pixels themselves, which lie
// anywhere, one after another, their three colours in a register of four. Nothing is a fused
// multiply-add here: the bits are the same on every instruction set.
#pragma once

#include "cpu/training/kernels.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::Warp;

// Further out than this, points are no longer told apart: floats have whole numbers up to 2^24, and
// pictures at most kMostWarpedSide pixels on a side.
constexpr float kFarthest = 4194304.0f;  // 2^22
static_assert(kFarthest + 4.0f + 2.0f * facegen::cpu::kMostWarpedSide < 16777216.0f);

typedef float Pixel __attribute__((vector_size(16)));
typedef float PixelMemory __attribute__((vector_size(16), aligned(4), may_alias));

inline Vec floor(Vec x) {
  const Vec whole = to_float(to_int(x));
  return whole - select(whole > x, broadcast(1.0f), Vec{});
}

// 0, 1, 2 ... from `first` on.
inline Vec count_from(int first) {
  Vec v;
  for (int lane = 0; lane < kLanes; ++lane) v[lane] = static_cast<float>(first + lane);
  return v;
}

// What a vector of points takes of one axis: of each tap, which pixel, and how much of it.
template <int Taps>
struct AxisTaps {
  int32_t at[Taps][kLanes];  // floats from the picture's start
  float weight[Taps][kLanes];
};

inline void set_weights(Vec share, Vec (&weights)[2]) {
  weights[0] = 1.0f - share;
  weights[1] = share;
}

// Keys' cubic convolution with a = -0.75, as most programs have it.
inline void set_weights(Vec share, Vec (&weights)[4]) {
  constexpr float a = -0.75f;
  const auto near = [](Vec t) { return ((a + 2.0f) * t - (a + 3.0f)) * t * t + 1.0f; };
  const auto far = [](Vec t) { return ((a * t - 5.0f * a) * t + 8.0f * a) * t - 4.0f * a; };
  weights[0] = far(share + 1.0f);
  weights[1] = near(share);
  weights[2] = near(1.0f - share);
  weights[3] = far(2.0f - share);
}

// `point` in -1 to 1; pixels of the axis are `step` floats apart.
template <int Taps>
inline void find_taps(Vec point, int size, int step, bool mirrored, AxisTaps<Taps>& taps) {
  const float pixels = static_cast<float>(size), period = 2.0f * pixels;
  Vec at = ((point + 1.0f) * pixels - 1.0f) * 0.5f;
  at = minimum(maximum(at, broadcast(-kFarthest)), broadcast(kFarthest));
  at = select(at == at, at, Vec{});
  const Vec first = floor(at);
  Vec weights[Taps];
  set_weights(at - first, weights);
  for (int t = 0; t < Taps; ++t) {
    Vec pixel = first + static_cast<float>(t + 1 - Taps / 2);
    if (mirrored) {
      pixel = pixel - period * floor(pixel / period);
      pixel = minimum(pixel, period - 1.0f - pixel);
    } else {
      weights[t] = select((pixel >= 0.0f) & (pixel < pixels), weights[t], Vec{});
      pixel = minimum(maximum(pixel, Vec{}), broadcast(pixels - 1.0f));
    }
    const VecI offset = to_int(pixel) * step;
    __builtin_memcpy(taps.at[t], &offset, sizeof offset);
    __builtin_memcpy(taps.weight[t], &weights[t], sizeof weights[t]);
  }
}

// The points that the pixels from `x` on of row `y` of the result show.
template <int Taps>
inline void find_points(const Warp& warp, int y, int x, AxisTaps<Taps>& rows,
                        AxisTaps<Taps>& columns) {
  const float* m = warp.matrix;
  Vec px = (count_from(x) + 0.5f) * (2.0f / static_cast<float>(warp.out_width)) - 1.0f;
  Vec py = broadcast((static_cast<float>(y) + 0.5f) * (2.0f / static_cast<float>(warp.out_height)) -
                     1.0f);
  if (warp.lens != 0.0f) {
    const Vec factor = 1.0f + warp.lens * (px * px + py * py);
    px = px * factor;
    py = py * factor;
  }
  Vec u = m[0] * px + m[1] * py + m[2], v = m[3] * px + m[4] * py + m[5];
  if (m[6] != 0.0f || m[7] != 0.0f || m[8] != 1.0f) {
    const Vec w = m[6] * px + m[7] * py + m[8];
    u = u / w;
    v = v / w;
  }
  find_taps(u, warp.width, warp.channels, warp.mirrored, columns);
  find_taps(v, warp.height, warp.width * warp.channels, warp.mirrored, rows);
}

// Calls body(offsets of the taps, their weights, floats from the row's start) for every pixel of a row.
template <int Taps, typename Body>
inline void for_each_point(const Warp& warp, int y, Body body) {
  AxisTaps<Taps> rows, columns;
  for (int x = 0; x < warp.out_width; x += kLanes) {
    find_points(warp, y, x, rows, columns);
    const int left = warp.out_width - x, count = left < kLanes ? left : kLanes;
    for (int lane = 0; lane < count; ++lane) {
      int32_t row[Taps], column[Taps];
      float weight_y[Taps], weight_x[Taps];
      for (int t = 0; t < Taps; ++t) {
        row[t] = rows.at[t][lane];
        column[t] = columns.at[t][lane];
        weight_y[t] = rows.weight[t][lane];
        weight_x[t] = columns.weight[t][lane];
      }
      body(row, column, weight_y, weight_x, x + lane);
    }
  }
}

// Three floats in a register of four. A fourth is there to be read, and to be written as it is, all
// but at the very end of an image.
inline Pixel load_pixel(const float* p, const float* last) {
  if (p < last) return *reinterpret_cast<const PixelMemory*>(p);
  return Pixel{p[0], p[1], p[2], 0.0f};
}
inline void store_pixel(float* p, const float* last, Pixel v) {
  if (p < last) {
    *reinterpret_cast<PixelMemory*>(p) = v;
  } else {
    for (int c = 0; c < 3; ++c) p[c] = v[c];
  }
}

template <int Taps>
void warp_row_by(const Warp& warp, const float* in, int y, float* out) {
  if (warp.channels == 1) {
    for_each_point<Taps>(warp, y, [&](auto& row, auto& column, auto& weight_y, auto& weight_x, int x) {
      float sum = 0.0f;
      for (int r = 0; r < Taps; ++r) {
        float along = 0.0f;
        for (int c = 0; c < Taps; ++c) along += weight_x[c] * in[row[r] + column[c]];
        sum += weight_y[r] * along;
      }
      out[x] = sum;
    });
    return;
  }
  const float* last = in + (int64_t{1} * warp.height * warp.width - 1) * 3;
  const float* out_last = out + (int64_t{1} * warp.out_width - 1) * 3;
  for_each_point<Taps>(warp, y, [&](auto& row, auto& column, auto& weight_y, auto& weight_x, int x) {
    Pixel sum = {};
    for (int r = 0; r < Taps; ++r) {
      Pixel along = {};
      for (int c = 0; c < Taps; ++c) along += weight_x[c] * load_pixel(in + row[r] + column[c], last);
      sum += weight_y[r] * along;
    }
    store_pixel(out + 3 * x, out_last, sum);
  });
}

template <int Taps>
void warp_row_adjoint_by(const Warp& warp, const float* gradient, int y, float* in) {
  if (warp.channels == 1) {
    for_each_point<Taps>(warp, y, [&](auto& row, auto& column, auto& weight_y, auto& weight_x, int x) {
      for (int r = 0; r < Taps; ++r) {
        const float along = weight_y[r] * gradient[x];
        for (int c = 0; c < Taps; ++c) in[row[r] + column[c]] += weight_x[c] * along;
      }
    });
    return;
  }
  float* last = in + (int64_t{1} * warp.height * warp.width - 1) * 3;
  const float* gradient_last = gradient + (int64_t{1} * warp.out_width - 1) * 3;
  for_each_point<Taps>(warp, y, [&](auto& row, auto& column, auto& weight_y, auto& weight_x, int x) {
    Pixel from = load_pixel(gradient + 3 * x, gradient_last);
    from[3] = 0.0f;  // is of the next pixel
    for (int r = 0; r < Taps; ++r) {
      const Pixel along = weight_y[r] * from;
      for (int c = 0; c < Taps; ++c) {
        float* at = in + row[r] + column[c];
        store_pixel(at, last, load_pixel(at, last) + weight_x[c] * along);
      }
    }
  });
}

void warp_row(const Warp& warp, const float* in, int y, float* out) {
  warp.cubic ? warp_row_by<4>(warp, in, y, out) : warp_row_by<2>(warp, in, y, out);
}

void warp_row_adjoint(const Warp& warp, const float* gradient, int y, float* in) {
  warp.cubic ? warp_row_adjoint_by<4>(warp, gradient, y, in)
             : warp_row_adjoint_by<2>(warp, gradient, y, in);
}

}  // namespace
