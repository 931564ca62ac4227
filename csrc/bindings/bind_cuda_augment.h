#pragma once

#include <pybind11/pybind11.h>

namespace facegen {

void bind_cuda_augment(pybind11::module_& m);

}  // namespace facegen
