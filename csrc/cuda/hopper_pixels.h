// 1x1 convolutions to few channels on Hopper, and linear layers, with a softmax behind these.
#pragma once

#include "program.h"

namespace facegen::cuda::hopper {

// Whether the kernel can do a linear layer and the softmax of what it makes; formats apart.
bool pixels_softmax_suits(const Step& linear, const Step& softmax);

}  // namespace facegen::cuda::hopper
