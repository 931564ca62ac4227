#include "bindings.h"

// Nothing here relies on the GIL: what threads share is atomic or behind locks of its own.
PYBIND11_MODULE(_native, m, pybind11::mod_gil_not_used()) {
  m.doc() = "facegen's native code: the CPU engine, number text, colours.";
  facegen::bind_text(m);
  facegen::bind_cpu(m);
  facegen::bind_color(m);
  // Why this build has no facegen._cuda; empty where it has one.
  m.attr("WHY_NO_CUDA") = FACEGEN_WHY_NO_CUDA;
}
