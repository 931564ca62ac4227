// 16-bit floats on the host, rounded to nearest even.
#pragma once

#include <cstdint>
#include <cstring>

#include <cuda_fp16.h>

namespace facegen::cuda {

inline float bfloat16_value(uint16_t bits) {
  const uint32_t wide = uint32_t{bits} << 16;
  float value;
  std::memcpy(&value, &wide, 4);
  return value;
}

// What is too large for bfloat16 but finite stays the largest finite, so that hi + lo is finite.
inline uint16_t bfloat16_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if ((bits & 0x7FFFFFFF) > 0x7F800000) return static_cast<uint16_t>(bits >> 16 | 0x40);  // NaN
  if ((bits & 0x7FFFFFFF) == 0x7F800000) return static_cast<uint16_t>(bits >> 16);
  if ((bits & 0x7FFFFFFF) >= 0x7F7F8000) return static_cast<uint16_t>((bits >> 31 << 15) | 0x7F7F);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

inline uint16_t half_bits(float value) {
  const __half h = __float2half_rn(value);
  uint16_t bits;
  std::memcpy(&bits, &h, 2);
  return bits;
}

}  // namespace facegen::cuda
