// A softmax over the channels and the 1x1 convolution that reads it, as one step.
#pragma once

#include "program.h"

namespace facegen::cuda {

// Whether a GEMM step can take the softmax of its input as a part of it.
bool softmax_gemm_suits(const Step& step);

}  // namespace facegen::cuda
