// What a map is multiplied by before it is rounded to float16, so that its largest number is near the end of
// that format's range and small ones are not lost. A power of two: it costs no digits.
#pragma once

#include <cmath>

namespace facegen::cuda {

__device__ inline float operand_scale(float largest) {
  if (!(largest > 0.0f) || !isfinite(largest)) return 1.0f;
  constexpr int kTop = 14;  // float16 ends at 2^16
  return exp2f(static_cast<float>(min(100, max(-100, kTop - ilogbf(largest)))));
}

}  // namespace facegen::cuda
