// Weights that are bfloat16: to which of them a weight is rounded when the optimizer has changed it.
//
// A bfloat16 is the upper half of a float32. To the nearest, a change of less than half a unit of the last
// place, 1/512 to 1/256 of the weight, is lost, in every step anew. Stochastic rounding (Gupta, Agrawal,
// Gopalakrishnan, Narayanan 2015) goes up with the probability that the lower half says, lower / 2^16: in the
// mean the weight is what it was, and no float32 copy of it is needed.
//
//   weight   | sign, exponent, 7 bits | lower 16 bits |
//          +                          | 16 random bits|   then the lower half is cut off
//
// The random bits of weight i are a function of seed, parameter, step and i. A call of Philox has eight times
// 16 of them, for weights kDrawRow apart, so that neighbours are of neighbouring calls:
//
//   i = 2048 block + 256 k + t:   half k of the call at place 256 block + t
#pragma once

#include <cstdint>

#include "host_device.h"
#include "philox.h"

namespace facegen {

constexpr int kDrawsOfCall = 8;
constexpr int kDrawRow = 256;
constexpr int64_t kDrawBlock = int64_t{kDrawsOfCall} * kDrawRow;  // weights

// Streams of the seed from here on are parameters'; those below are of dropout.
constexpr uint32_t kFirstWeightStream = 1u << 31;

// Draw k of a call.
FACEGEN_HOST_DEVICE static inline uint32_t rounding_draw(const uint32_t (&words)[4], int k) {
  return (words[k / 2] >> (16 * (k % 2))) & 0xffffu;
}

// What is added to a weight's bits to round it to the nearest, to even between two.
FACEGEN_HOST_DEVICE static inline uint32_t nearest_addend(uint32_t bits) {
  return 0x7fffu + ((bits >> 16) & 1u);
}

// The bits of a float32, rounded. What is finite stays so: behind the largest bfloat16 there is none. Infinity
// and NaN stay what they are.
FACEGEN_HOST_DEVICE static inline uint32_t rounded_weight(uint32_t bits, uint32_t addend) {
  constexpr uint32_t kExponent = 0x7f800000u, kUpper = 0xffff0000u;
  const uint32_t next = (bits + addend) & kUpper;
  if ((bits & kExponent) == kExponent) return bits;
  return (next & kExponent) == kExponent ? bits & kUpper : next;
}

}  // namespace facegen
