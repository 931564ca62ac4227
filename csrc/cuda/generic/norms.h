// Norms: statistics of maps, of pixels, of neighbouring channels.
#pragma once

#include "cuda/generic/small_ops.h"

namespace facegen::cuda {

void instance_norm(const StepCall& call);
void group_norm(const StepCall& call);
void layer_norm(const StepCall& call);
void response_norm(const StepCall& call);

}  // namespace facegen::cuda
