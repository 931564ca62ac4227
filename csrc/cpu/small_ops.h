// The steps that are not a GEMM, each split over images and rows of pixels.
#pragma once

#include "cpu/step_call.h"

namespace facegen::cpu {

void max_pool(const StepCall& call);
void softmax(const StepCall& call);
void shuffle(const StepCall& call);
void rearrange(const StepCall& call);
void pointwise(const StepCall& call);

}  // namespace facegen::cpu
