// 16-bit floats on the host, rounded to nearest even.
#pragma once

#include <cstdint>
#include <cstring>

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
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t size = bits & 0x7FFFFFFF;
  if (size > 0x7F800000) return 0x7FFF;                                       // NaN
  if (size >= 0x477FF000) return static_cast<uint16_t>(sign | 0x7C00);        // 65,520 on: infinity
  if (size >= 0x38800000) {                                                   // 2^-14 on: normal
    const uint32_t rounded = size + 0xFFF + (size >> 13 & 1);
    return static_cast<uint16_t>(sign | (rounded - 0x38000000) >> 13);
  }
  if (size < 0x33000000) return sign;                                         // below 2^-25
  // As a multiple of 2^-24: the mantissa, shifted so far.
  const uint32_t shift = 126 - (size >> 23), mantissa = (size & 0x7FFFFF) | 0x800000;
  const uint32_t whole = mantissa >> shift, rest = mantissa & ((1u << shift) - 1);
  const uint32_t middle = 1u << (shift - 1);
  return static_cast<uint16_t>(sign | (whole + (rest > middle || (rest == middle && whole & 1))));
}

}  // namespace facegen::cuda
