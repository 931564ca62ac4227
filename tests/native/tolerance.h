// How far float32 results may be from the float64 definition: the one place that says so.
//
// As tests/tolerance.py does. The error of a sum of K products grows like sqrt(K) rounding units,
// relative to the sum of the products' magnitudes (Higham & Mary 2019); every further rounding adds
// a unit of the value at hand.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cpu/kernels.h"
#include "program.h"

namespace facegen::test {

constexpr double kEps = 0x1p-23;  // twice the rounding unit of float32

// Fixed-point products (csrc/cpu/isa/amx_fixed_point.h) leave out 2^-23 of the two scales' product
// and round each factor by 2^-24 of its scale. A scale is the power of two above the largest number,
// and up to twice that: 2^-22 * 4 = 8 kEps of the product of the largest numbers, of random sign.
constexpr double kFixedPointProduct = 8 * kEps;

// Rounding units of 2^-8 of both factors.
constexpr double kBfloat16Product = 0x1p-7 + 0x1p-16;

// What csrc/cpu/isa/math.h states: tanh absolute, exp relative.
constexpr double kTanh = 2e-7, kExp = 2e-7;

// A value and how far a float32 computation of it may be off.
struct Bounded {
  double value, bound;
};

// A sum of `length` terms (products, bias, add) whose magnitudes sum to `magnitude`; `largest` is the
// product of the largest magnitudes of both factors.
inline Bounded sum_of_products(double value, double magnitude, double largest, int64_t length,
                               cpu::Products products) {
  const double root = std::sqrt(static_cast<double>(length));
  double bound = magnitude * kEps * (root + 2);
  if (products == cpu::Products::kFixedPoint) bound += kFixedPointProduct * root * largest;
  if (products == cpu::Products::kBfloat16) bound += kBfloat16Product * magnitude;
  return {value, bound};
}

// What Winograd's transforms may make of the sum of the products' magnitudes, for values of about
// equal size: on each of two axes, the largest over the outputs j of
//   sum over points p of |A[j][p]| sum |G[p]| sum |B[p]|,  over the taps
// (csrc/winograd_transform.h): 8/3 for F(2,3), 2 for F(2,2), 5.3 for F(2,4), 6.7 for F(2,5), 7.9
// for F(4,3), 7.3 for F(4,2).
// Every input of a tile takes part, so that the magnitude is the largest of the map, not that of
// the taps of one output.
constexpr double winograd_magnitude(int points) { return points <= 4 ? 64.0 / 9.0 : 64.0; }

// The same for root mean squares, where errors add as independent ones: the squares of the entries,
// 2 an axis for F(2,2), 5/3 for F(2,3), 4.0 for F(2,4) and F(4,2), 4.8 for F(4,3), 5.4 for F(2,5)
// (their roots on two axes multiply to the same numbers); with some room for chance.
constexpr double winograd_rms(int points) { return (points <= 4 ? 2.0 : 5.4) * 1.25; }

inline Bounded activate(Bounded x, Activation activation, float slope) {
  switch (activation) {
    case Activation::kNone: return x;
    case Activation::kRelu: return {std::max(x.value, 0.0), x.bound};
    case Activation::kLeakyRelu: {
      const double value = x.value < 0 ? x.value * static_cast<double>(slope) : x.value;
      return {value, x.bound * std::max(1.0, std::fabs(static_cast<double>(slope))) +
                         kEps * std::fabs(value)};
    }
    case Activation::kTanh: return {std::tanh(x.value), x.bound + kTanh};
    default: break;  // tests/kernels/test_activations.py has the others
  }
  return x;
}

inline Bounded times(Bounded x, double factor) {
  const double value = x.value * factor;
  return {value, x.bound * std::fabs(factor) + kEps * std::fabs(value)};
}

inline Bounded plus(Bounded x, double term) {
  const double value = x.value + term;
  return {value, x.bound + kEps * (std::fabs(value) + x.bound)};
}

}  // namespace facegen::test
