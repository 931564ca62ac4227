#include "bindings.h"

PYBIND11_MODULE(_native, m) {
  m.doc() = "facegen's native code: the CPU engine, number text.";
  facegen::bind_text(m);
  facegen::bind_cpu(m);
}
