// Division, rounded up. The sum is of 64 bits: sizes near the end of an int do not overflow.
#pragma once

#include <cstdint>
#include <type_traits>

namespace facegen {

template <class A, class B>
constexpr std::common_type_t<A, B> divide_up(A a, B b) {
  return static_cast<std::common_type_t<A, B>>((int64_t{a} + b - 1) / b);
}

}  // namespace facegen
