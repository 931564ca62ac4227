// A first convolution of 3 channels and stride 2 with the max-pool behind it, on Hopper, as one step.
#pragma once

#include "program.h"

namespace facegen::cuda::hopper {

// Whether the kernel can do both; formats apart.
bool stem_suits(const Step& conv, const Step& pool);

}  // namespace facegen::cuda::hopper
