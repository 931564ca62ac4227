// Weighted sums of rows and of columns: interpolation, means over windows, borders, slices.
#pragma once

#include "cuda/generic/small_ops.h"

namespace facegen::cuda {

void resample(const StepCall& call);

}  // namespace facegen::cuda
