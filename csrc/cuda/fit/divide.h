// Divisions in few instructions: by a number that stays the same in one multiplication, where a division
// takes some twenty; of 64 bits, which take a hundred, in 32 where both numbers have no more.
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

// a / b of numbers that are not negative.
__device__ inline int64_t quotient(int64_t a, int64_t b) {
  return (a | b) >> 32 == 0 ? static_cast<uint32_t>(a) / static_cast<uint32_t>(b) : a / b;
}
#endif

}  // namespace facegen::cuda
