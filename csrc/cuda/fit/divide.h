// Division by a number that stays the same, in one multiplication: a division takes some twenty
// instructions.
#pragma once

#include <cstdint>

namespace facegen::cuda {

// a / divisor is the upper half of a * reciprocal(divisor), for a * divisor < 2^32 and divisor > 1.
inline uint32_t reciprocal(int divisor) {
  return static_cast<uint32_t>((uint64_t{1} << 32) / static_cast<uint64_t>(divisor) + 1);
}

#ifdef __CUDACC__
__device__ inline int divide(int a, uint32_t reciprocal) {
  return static_cast<int>(__umulhi(static_cast<uint32_t>(a), reciprocal));
}
#endif

}  // namespace facegen::cuda
