// Floats as float64, half a vector at a time.
#pragma once

#include "isa/vec.h"

namespace {

inline VecD load_doubles(const float* p) {
  HalfVec v;
  __builtin_memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, VecD);
}

// The first or the second half of a vector.
inline VecD doubles(Vec v, int half) {
  HalfVec part;
  __builtin_memcpy(&part, reinterpret_cast<const float*>(&v) + half * kHalf, sizeof part);
  return __builtin_convertvector(part, VecD);
}

}  // namespace
