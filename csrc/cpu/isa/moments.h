// Sums over the pixels of a map, channels in lanes, in float64.
//
// Each channel is added up pixel by pixel, whatever its lane: the sums depend on nothing else.
#pragma once

#include "isa/doubles.h"
#include "isa/vec.h"

namespace {

// The sums of kHalf channels times `Groups`: additions of one group wait for each other, those of
// different groups do not.
template <int Groups>
inline void moments_of_groups(const float* in, int64_t pixel_stride, int64_t pixels, double* sum,
                              double* squares) {
  VecD first[Groups], total[Groups] = {}, square[Groups] = {};
  for (int g = 0; g < Groups; ++g) first[g] = load_doubles(in + g * kHalf);
  for (int64_t p = 0; p < pixels; ++p, in += pixel_stride) {
    FACEGEN_UNROLL_ALL
    for (int g = 0; g < Groups; ++g) {
      const VecD x = load_doubles(in + g * kHalf) - first[g];
      total[g] += x;
      square[g] = multiply_add(x, x, square[g]);
    }
  }
  for (int g = 0; g < Groups; ++g) {
    __builtin_memcpy(sum + g * kHalf, &total[g], sizeof total[g]);
    __builtin_memcpy(squares + g * kHalf, &square[g], sizeof square[g]);
  }
}

// Sums of x - first and of its square for each channel, `first` being the first pixel's value: of
// numbers near zero, so that no digits are lost where the mean is large.
void moments(const float* in, int64_t pixel_stride, int64_t pixels, int channels, double* sum,
             double* squares) {
  int c = 0;
  for (; c + 4 * kHalf <= channels; c += 4 * kHalf) {
    moments_of_groups<4>(in + c, pixel_stride, pixels, sum + c, squares + c);
  }
  for (; c + kHalf <= channels; c += kHalf) {
    moments_of_groups<1>(in + c, pixel_stride, pixels, sum + c, squares + c);
  }
  for (; c < channels; ++c) {
    const double first = static_cast<double>(in[c]);
    sum[c] = squares[c] = 0.0;
    for (int64_t p = 0; p < pixels; ++p) {
      const double x = static_cast<double>(in[p * pixel_stride + c]) - first;
      sum[c] += x;
      squares[c] = multiply_add(VecD{x}, VecD{x}, VecD{squares[c]})[0];
    }
  }
}

}  // namespace
