// Phases whose results stand side by side in memory.
#pragma once

#include <cstddef>
#include <vector>

#include "program.h"

namespace facegen::cpu {

// How many of `phases`, from number `first` on, write pixels that follow one another in memory: they
// are finished as one run of columns. 1 where a constant or a summand belongs to a channel, since
// such a run has more columns than there are channels.
inline int adjacent_phases(const std::vector<Phase>& phases, std::size_t first, const View& out,
                           const float* bias, const Epilogue& epilogue) {
  if (out.pixel_stride != out.c || bias != nullptr || epilogue.scale != nullptr ||
      epilogue.shift != nullptr || epilogue.slopes != nullptr || epilogue.other.buffer >= 0) {
    return 1;
  }
  const auto& [y, x] = phases[first];
  int count = 1;
  for (std::size_t p = first + 1; p < phases.size(); ++p, ++count) {
    const auto& [next_y, next_x] = phases[p];
    if (next_y.out_origin != y.out_origin || next_x.out_origin != x.out_origin + count) break;
  }
  return count;
}

}  // namespace facegen::cpu
