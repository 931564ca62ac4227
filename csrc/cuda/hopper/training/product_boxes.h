// How the copy engine sees what a product of training makes, to store it.
#pragma once

#include "cuda/hopper/training/product.h"

namespace facegen::cuda::hopper {

// Sets args.boxes, of what is at args.out.
void see_boxes(ProductArguments& args);

}  // namespace facegen::cuda::hopper
