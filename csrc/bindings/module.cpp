#include "bindings.h"
#include "check_program.h"

// Nothing here relies on the GIL: what threads share is atomic or behind locks of its own.
PYBIND11_MODULE(_native, m, pybind11::mod_gil_not_used()) {
  m.doc() = "facegen's native code: the CPU engine, what devices can do, number text, colours.";
  facegen::bind_text(m);
  facegen::bind_cpu(m);
  facegen::bind_color(m);
  facegen::bind_fit(m);
  facegen::bind_dlpack(m);
  facegen::bind_training(m);
  facegen::bind_augment(m);
  facegen::bind_labels(m);
  // Limits that layers are checked for when they are made: whoever reads a program asks the same.
  m.attr("MOST_POSITIONS") = facegen::kMostPositions;
  m.attr("MOST_PIXELS") = facegen::kMostPixels;
  // Why this build has no facegen._cuda; empty where it has one.
  m.attr("WHY_NO_CUDA") = FACEGEN_WHY_NO_CUDA;
}
