// How the copy engine sees what a product of training makes, to store it.
#pragma once

#include "cuda/hopper/training/product.h"

namespace facegen::cuda::hopper {

// Boxes of the sums at args.out; of a map false, unless it can be stored so.
bool see_boxes(ProductArguments& args);

}  // namespace facegen::cuda::hopper
