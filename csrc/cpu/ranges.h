// Which outputs of an axis read inside the input, and how many taps do.
#pragma once

#include <algorithm>
#include <cstdint>

#include "divide_up.h"
#include "program.h"

namespace facegen::cpu {

// Outputs o in [first, last) read input o * step + offset inside [0, size).
struct Range {
  int first, last;
};
inline Range valid_outputs(int offset, int step, int size, int out) {
  const int first = offset >= 0 ? 0 : static_cast<int>(divide_up(-offset, step));
  const int past = size - offset;
  const int last = past <= 0 ? 0 : static_cast<int>(divide_up(past, step));
  return {std::min(first, out), std::max(std::min(last, out), std::min(first, out))};
}

// Pairs (output, tap) of an axis that read inside an input of `size`.
inline int64_t valid_taps(const Axis& axis, int size) {
  int64_t count = 0;
  for (int t = 0; t < axis.taps; ++t) {
    const int64_t offset = int64_t{t} * axis.dir + axis.base;
    const int64_t first = offset >= 0 ? 0 : divide_up(-offset, axis.step);
    const int64_t past = size > offset ? divide_up(size - offset, axis.step) : 0;
    count += std::max<int64_t>(0, std::min<int64_t>(past, axis.out) - first);
  }
  return count;
}

}  // namespace facegen::cpu
