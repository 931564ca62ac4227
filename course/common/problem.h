// The two layers that every rung of both staircases computes.
//
//   conv3x3  a 3x3 convolution of 256 channels on a 32x32 map, padded by 1
//   tconv2   DCGAN's second transposed convolution: 5x5, stride 2, 8x8x256 -> 16x16x128
//
// Both are one sentence: output (y, x) is a sum over those taps (ty, tx) for which there is an input
// pixel (source(y, ty), source(x, tx)). So a rung is written once and serves both.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define COURSE_BOTH __host__ __device__
#else
#define COURSE_BOTH
#endif

namespace course {

struct Problem {
  const char* name;
  bool transposed;
  int images;
  int in_h, in_w, in_c;
  int out_h, out_w, out_c;
  int kernel, stride, pad;  // pad: rows cut off (transposed) or added in front, on both axes

  // The input row (column) that output row (column) `o` reads through tap `t`, or -1: the tap falls
  // on padding, or, in a transposed convolution, between two input pixels.
  COURSE_BOTH int source(int o, int t, int size) const {
    int i = o * stride + t - pad;
    if (transposed) {
      i = o + pad - t;
      if (i % stride != 0) return -1;
      i /= stride;
    }
    return i >= 0 && i < size ? i : -1;
  }
  COURSE_BOTH int source_y(int oy, int ty) const { return source(oy, ty, in_h); }
  COURSE_BOTH int source_x(int ox, int tx) const { return source(ox, tx, in_w); }

  COURSE_BOTH int taps() const { return kernel * kernel; }
  COURSE_BOTH int64_t inputs() const { return int64_t{1} * images * in_h * in_w * in_c; }
  COURSE_BOTH int64_t outputs() const { return int64_t{1} * images * out_h * out_w * out_c; }
  COURSE_BOTH int64_t weights() const { return int64_t{1} * taps() * in_c * out_c; }

  // Multiply-adds of the definition: none for taps on padding. A rung that does more, or as
  // Winograd fewer, is still measured by these.
  int64_t products() const {
    int64_t rows = 0, columns = 0;
    for (int t = 0; t < kernel; ++t) {
      for (int o = 0; o < out_h; ++o) rows += source_y(o, t) >= 0;
      for (int o = 0; o < out_w; ++o) columns += source_x(o, t) >= 0;
    }
    return rows * columns * in_c * out_c * images;
  }
};

constexpr Problem kProblems[] = {
    {"conv3x3", false, 1, 32, 32, 256, 32, 32, 256, 3, 1, 1},
    {"tconv2", true, 1, 8, 8, 256, 16, 16, 128, 5, 2, 1},
};

// The same on few pixels and channels, for tests: maps that are not square, sums of no round length.
constexpr Problem kTinyProblems[] = {
    {"conv3x3", false, 2, 5, 6, 64, 5, 6, 64, 3, 1, 1},
    {"tconv2", true, 2, 3, 4, 64, 6, 8, 64, 5, 2, 1},
};

}  // namespace course
