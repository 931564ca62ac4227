// 1x1 convolutions to few channels on Hopper, and linear layers, with a softmax behind these.
#pragma once

#include "cuda/fit/step_fit.h"

namespace facegen::cuda::hopper {

constexpr int kPixelsChunk = 32;  // channels

inline bool is_linear(const Step& step) { return step.in.h * step.in.w == 1; }

// Whether pixels.cu can do all of the step.
bool pixels_suit(const StepFit& fit);

}  // namespace facegen::cuda::hopper
