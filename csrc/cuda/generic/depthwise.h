// Depthwise convolution: each channel by itself, any window, any format.
#pragma once

#include "cuda/generic/small_ops.h"

namespace facegen::cuda {

void depthwise(const StepCall& call);

}  // namespace facegen::cuda
