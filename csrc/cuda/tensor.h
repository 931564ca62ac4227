// How activations lie in device memory.
#pragma once

#include <cstdint>

#include "program.h"

namespace facegen::cuda {

// Where a view's images lie.
struct Images {
  void* data = nullptr;      // first pixel of the first image (kSplit: its hi)
  int64_t image_stride = 0;  // elements
  int64_t plane = 0;         // kSplit: elements from a hi to its lo
  Format format = Format::kFloat32;
};

// Of a step's operands; `data` is null for those that it has not.
struct Operands {
  Images in, out, add;
  Images copy;  // a second place for the output (see Step)
  float* scratch = nullptr;  // Gemm::scratch_floats() for each of the first kScratchImages images
  // Where a product is left to the norm behind it: the slices in scratch that the norm has to add
  // up, and the bias (see make_split_plan in gemm_plan.h).
  int slices = 0;
  const float* bias = nullptr;
};

constexpr int64_t kScratchImages = 8;

inline int64_t element_bytes(Format format) { return format == Format::kFloat32 ? 4 : 2; }

}  // namespace facegen::cuda
