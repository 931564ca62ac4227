// The per-image norm on Hopper, in one pass over memory.
#pragma once

#include "cuda/generic/small_ops.h"

namespace facegen::cuda::hopper {

// Also writes the step's copy, where it has one.
void instance_norm(const StepCall& call);

}  // namespace facegen::cuda::hopper
