// Python's lock let go of while native code computes.
#pragma once

#include <pybind11/pybind11.h>

#include "system.h"

#ifdef __GLIBCXX__
#include <cxxabi.h>
#endif

namespace facegen {

// The GIL, released for as long as this lives. A daemon thread that asks for it back while the
// interpreter ends never gets it: up to Python 3.13 it is ended there by an unwinding of its stack,
// which no destructor lets through (SIGABRT) and which would release Python objects without the GIL.
// Here, as in Python 3.14, such a thread waits for the process to end.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;
  ~WithoutGil() {
#ifdef __GLIBCXX__
    try {
      PyEval_RestoreThread(state_);
    } catch (abi::__forced_unwind&) {
      wait_for_the_end();  // leaving the handler would abort the process
    }
#else
    PyEval_RestoreThread(state_);
#endif
  }

 private:
  PyThreadState* state_;
};

// What body() gives, computed without the GIL.
template <typename Body>
auto without_gil(Body&& body) -> decltype(body()) {
  const WithoutGil released;
  return body();
}

}  // namespace facegen
