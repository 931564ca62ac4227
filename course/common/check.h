// Whether a result is right: each output against its definition in float64.
//
// How far a float32 sum of K products may be off grows like sqrt(K) rounding units of the sum of the
// products' magnitudes (Higham and Mary 2019). Arithmetic says what a rung does beyond that.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "data.h"

namespace course {

struct Arithmetic {
  double product = 0;  // how far one product may be off, relative to itself: 2^-7 for bfloat16
  double growth = 1;   // by how much transforms make the numbers of a sum larger (Winograd)
};

struct Sum {
  double value = 0, magnitude = 0;
};

// One output by the definition. A transposed convolution is said the other way round here than by
// Problem::source: input i adds to output i * stride + tap - pad.
inline Sum definition(const Problem& p, Layout layout, const float* input, const float* weights,
                      int image, int oy, int ox, int channel) {
  Sum sum;
  for (int iy = 0; iy < p.in_h; ++iy)
    for (int ix = 0; ix < p.in_w; ++ix) {
      const int ty = p.transposed ? oy + p.pad - iy * p.stride : iy + p.pad - oy * p.stride;
      const int tx = p.transposed ? ox + p.pad - ix * p.stride : ix + p.pad - ox * p.stride;
      if (ty < 0 || ty >= p.kernel || tx < 0 || tx >= p.kernel) continue;
      for (int c = 0; c < p.in_c; ++c) {
        const double a = input[Index{layout}.map(p.in_h, p.in_w, p.in_c, image, iy, ix, c)];
        const double b = weights[Index{layout}.weight(p, ty, tx, c, channel)];
        sum.value += a * b;
        sum.magnitude += std::fabs(a * b);
      }
    }
  return sum;
}

struct Verdict {
  bool right = true;
  double worst = 0;     // largest error, as a share of what is allowed
  double relative = 0;  // largest error, relative to the root mean square of the outputs
  std::string where;  // of the worst output, where it is wrong
};

// All outputs of a small problem; of a large one every so many, which is a prime number, so that all
// channels, columns and rows are met.
inline Verdict check(const Problem& p, Layout layout, const float* input, const float* weights,
                     const float* output, Arithmetic arithmetic) {
  constexpr int64_t kMost = int64_t{1} << 26;  // multiply-adds in float64
  constexpr int64_t kSteps[] = {1, 3, 7, 13, 31, 61, 127, 251, 509, 1021, 2039, 4093};
  const int64_t* step = kSteps;
  while (p.products() / *step > kMost && step + 1 < std::end(kSteps)) ++step;
  struct Place {
    int image, y, x, channel;
    float got;
    Sum want;
  };
  std::vector<Place> places;
  double largest = 0;
  for (int64_t i = 0; i < p.outputs(); i += *step) {
    Place at;
    at.channel = static_cast<int>(i % p.out_c);
    at.x = static_cast<int>(i / p.out_c % p.out_w);
    at.y = static_cast<int>(i / p.out_c / p.out_w % p.out_h);
    at.image = static_cast<int>(i / p.out_c / p.out_w / p.out_h);
    at.got =
        output[Index{layout}.map(p.out_h, p.out_w, p.out_c, at.image, at.y, at.x, at.channel)];
    at.want = definition(p, layout, input, weights, at.image, at.y, at.x, at.channel);
    largest = std::max(largest, at.want.magnitude);
    places.push_back(at);
  }
  const double unit = 0x1p-23 * (std::sqrt(1.0 * p.taps() * p.in_c) + 2);
  double squares = 0;
  for (const Place& at : places) squares += at.want.value * at.want.value;
  const double rms = std::sqrt(squares / static_cast<double>(places.size())) + 1e-30;
  Verdict verdict;
  for (const Place& at : places) {
    // Where numbers are transformed, those of other outputs nearby take part in a sum.
    const double magnitude = arithmetic.growth > 1 ? largest : at.want.magnitude;
    const double allowed = magnitude * (arithmetic.growth * unit + arithmetic.product) + 1e-30;
    double share = std::fabs(at.got - at.want.value) / allowed;
    if (std::isnan(share)) share = HUGE_VAL;  // an output that was never written is NaN
    verdict.relative = std::fmax(verdict.relative, std::fabs(at.got - at.want.value) / rms);
    if (share <= verdict.worst) continue;
    verdict.worst = share;
    if (share <= 1) continue;
    verdict.right = false;
    verdict.where = "image " + std::to_string(at.image) + ", y " + std::to_string(at.y) + ", x " +
                    std::to_string(at.x) + ", channel " + std::to_string(at.channel) + ": expected " +
                    std::to_string(at.want.value) + ", found " + std::to_string(at.got);
  }
  return verdict;
}

}  // namespace course
