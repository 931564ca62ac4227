// Which layers an algorithm takes that a step names, on any device, and how people are told.
#pragma once

#include <cstdint>

#include "program.h"

namespace facegen {

// Whether a step asks for one algorithm and no other.
inline bool names_algorithm(const Step& step) {
  return step.algorithm != Algorithm::kAuto && step.algorithm != Algorithm::kDirect;
}

// Numbers in a row of im2col's matrix: the window of an output.
inline int64_t im2col_depth(const Step& step) {
  return int64_t{step.kernel_h} * step.kernel_w * step.in.c;
}

// Whether im2col's matrix of an image has at most 1 GiB.
bool im2col_takes(const Step& step);

// Whether each grid that a stride makes of the input has taps enough on both axes, and not too many.
bool winograd_takes(const Step& step);

// Layers that an algorithm takes: "layers of ...".
const char* what_it_takes(Algorithm algorithm);

}  // namespace facegen
