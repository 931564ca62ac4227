// exp, log, tanh and erf of a vector, to a few units in the last place.
//
// exp, log and tanh follow the Cephes library's single-precision scheme (S. L. Moshier, public domain method):
// exp reduces its argument by multiples of ln 2 in two parts and takes a degree-5 polynomial;
// log takes a polynomial of the mantissa between the roots of 1/2 and 2; tanh an odd polynomial below
// 0.625, where 1 - 2/(exp(2x)+1) would cancel. erf is a quotient of polynomials, as in Eigen.
#pragma once

#include "isa/vec.h"

namespace {

// exp(x) = (1 + rest) * scale.
struct ExpParts {
  Vec rest, scale;
};

inline ExpParts exp_parts(Vec x) {
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
  // NaN makes n NaN, whose conversion is arbitrary: the product is NaN whatever the power is.
  const VecI power = (to_int(select(n == n, n, Vec{})) + 127) << 23;
  Vec scale;
  __builtin_memcpy(&scale, &power, sizeof scale);
  return {multiply_add(p * r, r, r), scale};
}

// Relative error below 2e-7 for -87 <= x <= 88; clamped outside. NaN passes.
inline Vec exp(Vec x) {
  const ExpParts parts = exp_parts(x);
  return (parts.rest + 1.0f) * parts.scale;
}

// exp(x) - 1, without cancellation at 0: relative error below 4e-7.
inline Vec exp_minus_1(Vec x) {
  const ExpParts parts = exp_parts(x);
  return multiply_add(parts.rest, parts.scale, parts.scale - 1.0f);
}

// Relative error below 2e-7. Minus infinity of 0, NaN below; infinity and NaN pass.
inline Vec log(Vec x) {
  // Below the smallest normal number there is no exponent to take.
  const VecI tiny = x < 1.17549435e-38f;
  const Vec scaled = select(tiny, x * 33554432.0f, x);  // 2^25
  VecI bits;
  __builtin_memcpy(&bits, &scaled, sizeof bits);
  // The mantissa from the root of 1/2 to that of 2.
  const VecI exponent = (bits - 0x3f3504f3) >> 23;
  bits -= exponent << 23;
  Vec mantissa;
  __builtin_memcpy(&mantissa, &bits, sizeof mantissa);
  const Vec e = to_float(exponent) - select(tiny, broadcast(25.0f), Vec{});
  const Vec f = mantissa - 1.0f, z = f * f;
  Vec p = broadcast(7.0376836292e-2f);
  p = multiply_add(p, f, -1.1514610310e-1f);
  p = multiply_add(p, f, 1.1676998740e-1f);
  p = multiply_add(p, f, -1.2420140846e-1f);
  p = multiply_add(p, f, 1.4249322787e-1f);
  p = multiply_add(p, f, -1.6668057665e-1f);
  p = multiply_add(p, f, 2.0000714765e-1f);
  p = multiply_add(p, f, -2.4999993993e-1f);
  p = multiply_add(p, f, 3.3333331174e-1f);
  Vec y = multiply_add(-2.12194440e-4f, e, p * f * z);
  y = multiply_add(-0.5f, z, y);
  y = multiply_add(0.693359375f, e, f + y);
  const float infinity = __builtin_inff();
  y = select(x == 0.0f, broadcast(-infinity), y);
  y = select(x < 0.0f, broadcast(__builtin_nanf("")), y);
  return select(x < infinity, y, x);  // infinity and NaN
}

// Absolute error below 2e-7. NaN passes.
inline Vec erf(Vec x) {
  const Vec z = x * x;
  Vec p = broadcast(-2.72614225801306e-10f);
  p = multiply_add(p, z, 2.77068142495902e-08f);
  p = multiply_add(p, z, -2.10102402082508e-06f);
  p = multiply_add(p, z, -5.69250639462346e-05f);
  p = multiply_add(p, z, -7.34990630326855e-04f);
  p = multiply_add(p, z, -2.95459980854025e-03f);
  p = multiply_add(p, z, -1.60960333262415e-02f);
  Vec q = broadcast(-1.45660718464996e-05f);
  q = multiply_add(q, z, -2.13374055278905e-04f);
  q = multiply_add(q, z, -1.68282697438203e-03f);
  q = multiply_add(q, z, -7.37332916720468e-03f);
  q = multiply_add(q, z, -1.42647390514189e-02f);
  const Vec y = x * p / q;
  return select(x > 4.0f, broadcast(1.0f), select(x < -4.0f, broadcast(-1.0f), y));
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
