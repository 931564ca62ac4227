// What a GPU is to compute with, by the names that Python has for it.
#pragma once

#include <string>

#include "cuda/fit/step_fit.h"

namespace facegen {

// Throws std::invalid_argument for a precision or a family of kernels that there is not.
cuda::Target read_target(int major, int minor, const std::string& precision,
                         const std::string& kernels);

}  // namespace facegen
