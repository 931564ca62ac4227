// The steps that reduce a map: to the best channel of each pixel, or to one pixel.
#pragma once

#include "cpu/small_ops.h"

namespace facegen::cpu {

void arg_max(const StepCall& call);
void global_avg_pool(const StepCall& call);

}  // namespace facegen::cpu
