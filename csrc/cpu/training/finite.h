// Whether numbers are finite, without a branch for each.
#pragma once

#include <cstdint>

namespace facegen::cpu {

inline bool all_finite(const float* x, int64_t count) {
  // Infinity and NaN times 0 are NaN, which sums keep.
  float sum = 0.0f;
  for (int64_t i = 0; i < count; ++i) sum += x[i] * 0.0f;
  return sum == 0.0f;
}

}  // namespace facegen::cpu
