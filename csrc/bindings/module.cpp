#include "bindings.h"

PYBIND11_MODULE(_native, m) {
  m.doc() = "facegen's native code: the CPU engine, number text, colours.";
  facegen::bind_text(m);
  facegen::bind_cpu(m);
  facegen::bind_color(m);
  // Why this build has no facegen._cuda; empty where it has one.
  m.attr("WHY_NO_CUDA") = FACEGEN_WHY_NO_CUDA;
}
