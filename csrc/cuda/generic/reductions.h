// The steps that reduce a map: to the best channel of each pixel, or to one pixel.
#pragma once

#include "cuda/generic/small_ops.h"

namespace facegen::cuda {

void arg_max(const StepCall& call);
void global_avg_pool(const StepCall& call);

}  // namespace facegen::cuda
