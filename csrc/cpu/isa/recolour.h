// Colours of pictures changed by a matrix a picture, and the sums that such matrices are made of.
#pragma once

#include "isa/doubles.h"
#include "isa/vec.h"

namespace {

// sum[c] = of colour c over all pixels. A register's lanes belong to the same colours again after
// three registers.
void colour_sums(const float* pixels, int64_t count, double* sum) {
  VecD lanes[3][2] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int k = 0; k < 3; ++k) {
      const Vec v = load(pixels + 3 * i + k * kLanes);
      for (int half = 0; half < 2; ++half) lanes[k][half] += doubles(v, half);
    }
  }
  for (int c = 0; c < 3; ++c) sum[c] = 0.0;
  for (int at = 0; at < 3 * kLanes; ++at) {
    sum[at % 3] += lanes[at / kLanes][at % kLanes / kHalf][at % kHalf];
  }
  for (; i < count; ++i) {
    for (int c = 0; c < 3; ++c) sum[c] += static_cast<double>(pixels[3 * i + c]);
  }
}

// out = M (r, g, b, 1), M (3, 4). `out` may be `pixels`.
void recolour(const float* pixels, int64_t count, const float* m, float* out) {
  const float m0 = m[0], m1 = m[1], m2 = m[2], m3 = m[3], m4 = m[4], m5 = m[5], m6 = m[6], m7 = m[7],
              m8 = m[8], m9 = m[9], m10 = m[10], m11 = m[11];
  for (int64_t i = 0; i < 3 * count; i += 3) {
    const float r = pixels[i], g = pixels[i + 1], b = pixels[i + 2];
    out[i] = m0 * r + m1 * g + m2 * b + m3;
    out[i + 1] = m4 * r + m5 * g + m6 * b + m7;
    out[i + 2] = m8 * r + m9 * g + m10 * b + m11;
  }
}

}  // namespace
