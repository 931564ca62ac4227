// Which outputs of an axis read inside the input.
#pragma once

#include <algorithm>
#include <cstdint>

#include "divide_up.h"

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

}  // namespace facegen::cpu
