// Weighted sums of rows and of columns: interpolation, means over windows, borders, slices.
#pragma once

#include "cpu/step_call.h"

namespace facegen::cpu {

void resample(const StepCall& call);

}  // namespace facegen::cpu
