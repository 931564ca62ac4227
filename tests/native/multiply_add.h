// a * b + c as instruction sets compute it, rounded once or twice, and kernels compared with it.
//
// The bits are found without the C library, for MinGW's std::fma of doubles rounds twice. What
// rounding takes from a sum (Knuth) or a product (Dekker) is a number too, and can be computed. So
// a * b + c is a sum of four numbers, and the three smaller ones are added without deciding a tie
// wrongly: rounded to odd, as in Boldo and Melquiond, "Emulation of FMA and correctly rounded sums"
// (2008). It holds for finite numbers, as long as what is lost is not subnormal.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"

namespace facegen::test {

// Their sum is the exact value.
template <typename Real>
struct Split {
  Real rounded, lost;
};

template <typename Real>
Split<Real> exact_sum(Real a, Real b) {
  const Real sum = a + b, of_b = sum - a, of_a = sum - of_b;
  return {sum, (a - of_a) + (b - of_b)};
}

template <typename Real>
Split<Real> exact_product(Real a, Real b) {
  const auto upper_digits = [](Real x) {  // half of them: products of halves are exact
    constexpr int kLower = (std::numeric_limits<Real>::digits + 1) / 2;
    const Real multiple = x * static_cast<Real>((1 << kLower) + 1);
    return multiple - (multiple - x);
  };
  const Real product = a * b;
  const Real a_upper = upper_digits(a), a_lower = a - a_upper;
  const Real b_upper = upper_digits(b), b_lower = b - b_upper;
  const Real lost = (a_upper * b_upper - product) + a_upper * b_lower + a_lower * b_upper;
  return {product, lost + a_lower * b_lower};
}

// a + b: of the two numbers around it the one with an odd last digit, unless it is exact.
template <typename Real>
Real sum_rounded_to_odd(Real a, Real b) {
  const auto [sum, lost] = exact_sum(a, b);
  std::conditional_t<sizeof(Real) == 4, uint32_t, uint64_t> bits;
  std::memcpy(&bits, &sum, sizeof bits);
  if (lost != 0 && bits % 2 == 0) bits += (lost > 0) == (sum > 0) ? 1 : -1;
  Real odd;
  std::memcpy(&odd, &bits, sizeof odd);
  return odd;
}

struct MultiplyAdd {
  bool fused;  // rounded once

  template <typename Real>
  Real operator()(Real a, Real b, Real c) const {
    if (!fused) {
      const volatile Real product = a * b;  // whatever the compiler would make of it
      return product + c;
    }
    const auto [product, of_product] = exact_product(a, b);
    const auto [small, of_small] = exact_sum(c, of_product);
    const auto [large, of_large] = exact_sum(product, small);
    return large + sum_rounded_to_odd(of_small, of_large);
  }
};

// Where the processor may lack the instruction, sums are rounded twice.
inline MultiplyAdd multiply_add_of(const cpu::Kernels& kernels) {
  return {std::string(kernels.isa) != "portable"};
}

template <typename Value>
bool equal_bits(const std::vector<Value>& a, const std::vector<Value>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Value)) == 0;
}

// `definition(multiply_add)` gives the values expected of the kernels. True where it gives others
// with the other rounding: so it must be in one case of a test at least, or a kernel that took the
// wrong one would not show.
template <typename Value, typename Definition>
[[nodiscard]] bool check_bits(const cpu::Kernels& kernels, const std::vector<Value>& found,
                              Definition definition) {
  const MultiplyAdd own = multiply_add_of(kernels), other = {!own.fused};
  const std::vector<Value> expected = definition(own);
  CHECK(equal_bits(found, expected));
  return !equal_bits(expected, definition(other));
}

inline std::size_t index(int64_t i) { return static_cast<std::size_t>(i); }

}  // namespace facegen::test
