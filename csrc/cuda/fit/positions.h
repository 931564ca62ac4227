// Which input positions an axis reads.
#pragma once

#include "program.h"

namespace facegen::cuda {

// Whether any output of the axis reads inside `size` inputs at this offset.
inline bool ever_inside(const Axis& axis, int offset, int size) {
  for (int o = 0; o < axis.out; ++o) {
    const int position = o * axis.step + offset;
    if (position >= 0 && position < size) return true;
  }
  return false;
}

// Whether output o of a lone phase's axis reads input o alone.
inline bool is_same_pixel(const Axis& axis) {
  return axis.taps == 1 && axis.step == 1 && axis.base == 0 && axis.out_step == 1 &&
         axis.out_origin == 0;
}

}  // namespace facegen::cuda
