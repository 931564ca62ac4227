// exp and tanh of a vector, to a few units in the last place.
//
// Both follow the Cephes library's single-precision scheme (S. L. Moshier, public domain method):
// exp reduces its argument by multiples of ln 2 in two parts and takes a degree-5 polynomial;
// tanh takes an odd polynomial below 0.625, where 1 - 2/(exp(2x)+1) would cancel.
#pragma once

#include "isa/vec.h"

namespace {

// Relative error below 2e-7 for -87 <= x <= 88; clamped outside. NaN passes.
inline Vec exp(Vec x) {
  const Vec clamped = minimum(maximum(broadcast(-87.0f), x), broadcast(88.0f));
  x = select(x != x, x, clamped);
  // n = round(x / ln 2) by the addition of 1.5 * 2^23, which leaves n in the low mantissa bits.
  const Vec magic = broadcast(12582912.0f);
  const Vec n = multiply_add(1.44269504088896341f, x, magic) - magic;
  Vec r = multiply_add(-0.693359375f, n, x);
  r = multiply_add(2.12194440e-4f, n, r);
  Vec p = broadcast(1.9875691500e-4f);
  p = multiply_add(p, r, 1.3981999507e-3f);
  p = multiply_add(p, r, 8.3334519073e-3f);
  p = multiply_add(p, r, 4.1665795894e-2f);
  p = multiply_add(p, r, 1.6666665459e-1f);
  p = multiply_add(p, r, 5.0000001201e-1f);
  p = multiply_add(p * r, r, r) + 1.0f;
  // NaN makes n NaN, whose conversion is arbitrary: the product is NaN whatever the power is.
  const VecI power = (to_int(select(n == n, n, Vec{})) + 127) << 23;
  Vec scale;
  __builtin_memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

// Absolute error below 2e-7. NaN passes.
inline Vec tanh(Vec x) {
  const Vec magnitude = select(x < 0.0f, -x, x);
  const Vec z = x * x;
  Vec p = broadcast(-5.70498872745e-3f);
  p = multiply_add(p, z, 2.06390887954e-2f);
  p = multiply_add(p, z, -5.37397155531e-2f);
  p = multiply_add(p, z, 1.33314422036e-1f);
  p = multiply_add(p, z, -3.33332819422e-1f);
  const Vec small = multiply_add(p * z, x, x);
  const Vec saturated = 1.0f - 2.0f / (exp(minimum(magnitude, broadcast(20.0f)) * 2.0f) + 1.0f);
  const Vec large = select(x < 0.0f, -saturated, saturated);
  return select(x != x, x, select(magnitude < 0.625f, small, large));
}

}  // namespace
