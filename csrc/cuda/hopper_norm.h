// The per-image norm on Hopper, in one pass over memory.
#pragma once

#include "cuda/small_ops.h"

namespace facegen::cuda::hopper {

bool norm_suits(const Step& step);
// Also writes the step's copy, where it has one.
void instance_norm(const StepCall& call);

}  // namespace facegen::cuda::hopper
