// Checks of what Python passes, shared by the bindings.
#pragma once

#include <pybind11/numpy.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <string>
#include <vector>

#include "threads.h"

namespace facegen {

// A number of threads as the caller gave it; more than there can be are as many as there can be.
inline int checked_threads(int64_t threads) {
  if (threads < 1) {
    throw pybind11::value_error("threads must be at least 1, not " + std::to_string(threads));
  }
  return static_cast<int>(std::min<int64_t>(threads, most_threads()));
}

// Bytes of an array of this shape and so many bytes a value.
template <typename Size>
int64_t checked_bytes(const std::vector<Size>& shape, int64_t value_bytes) {
  constexpr int64_t kMost = int64_t{1} << 60;
  int64_t bytes = value_bytes;
  for (const int64_t size : shape) {
    if (size < 0) throw pybind11::value_error("negative dimensions are not allowed");
    if (size > 0 && bytes > kMost / size) throw std::bad_alloc();
    bytes *= size;
  }
  return bytes;
}

// Views of other memory may begin at any byte; the kernels read whole values.
inline bool is_aligned(const pybind11::array& array) {
  return (array.flags() & pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
}

inline void require_aligned(const pybind11::array& array, const std::string& name) {
  if (!is_aligned(array)) {
    throw pybind11::value_error(name + " begins at an address that is no multiple of its values' "
                                       "size; pass a copy");
  }
}

}  // namespace facegen
