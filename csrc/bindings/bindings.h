// One bind_* a subject: each converts, checks and calls, nothing else.
#pragma once

#include <pybind11/pybind11.h>

namespace facegen {

void bind_text(pybind11::module_& m);
void bind_cpu(pybind11::module_& m);
void bind_color(pybind11::module_& m);
void bind_fit(pybind11::module_& m);
void bind_dlpack(pybind11::module_& m);
void bind_training(pybind11::module_& m);
void bind_augment(pybind11::module_& m);
void bind_labels(pybind11::module_& m);

}  // namespace facegen
