// Divisions in few instructions: by a number that stays the same in one multiplication, where a division
// takes some twenty; of 64 bits, which take a hundred, in 32 where both numbers have no more.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace facegen::cuda {

// a / divisor is divide(a, reciprocal(divisor)), the upper half of their product, for a * divisor < 2^32 and
// divisor > 1.
inline uint32_t reciprocal(int divisor) {
  return static_cast<uint32_t>((uint64_t{1} << 32) / static_cast<uint64_t>(divisor) + 1);
}

FACEGEN_HOST_DEVICE inline int divide(int a, uint32_t reciprocal) {
  return static_cast<int>(uint64_t{static_cast<uint32_t>(a)} * reciprocal >> 32);
}

// For quotients of any number from 0 to 2^31 - 1: n * multiplier >> shift. With 2^s >= divisor the multiplier
// is 2^(31 + s) / divisor and less than 1 more, which makes n of these less than 1 / divisor too much.
struct Divider {
  uint32_t multiplier, shift;
  FACEGEN_HOST_DEVICE int divide(int n) const {
    return static_cast<int>(uint64_t{static_cast<uint32_t>(n)} * multiplier >> shift);
  }
};
inline Divider make_divider(int divisor) {
  uint32_t s = 0;
  while (s < 31 && (uint32_t{1} << s) < static_cast<uint32_t>(divisor)) ++s;
  const auto by = static_cast<uint64_t>(divisor);
  return {static_cast<uint32_t>(((uint64_t{1} << (31 + s)) + by - 1) / by), 31 + s};
}

// a / b of numbers that are not negative.
FACEGEN_HOST_DEVICE inline int64_t quotient(int64_t a, int64_t b) {
  return (a | b) >> 32 == 0 ? static_cast<uint32_t>(a) / static_cast<uint32_t>(b) : a / b;
}

}  // namespace facegen::cuda
