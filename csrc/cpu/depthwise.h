// Depthwise convolution: each channel by itself.
#pragma once

#include "cpu/step_call.h"

namespace facegen::cpu {

void depthwise(const StepCall& call);

}  // namespace facegen::cpu
