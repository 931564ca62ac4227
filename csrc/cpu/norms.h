// Norms: statistics of maps, of pixels, of neighbouring channels.
#pragma once

#include "cpu/step_call.h"

namespace facegen::cpu {

void instance_norm(const StepCall& call);
void layer_norm(const StepCall& call);
void response_norm(const StepCall& call);

}  // namespace facegen::cpu
