// The sums of a product's parts, added in order.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "program.h"

namespace facegen::cuda {

struct PartSums {
  const float* parts;  // (splits, pixels, pitch)
  int32_t splits;
  int64_t floats;      // of a part
  int32_t pitch;       // from a pixel of a part to its next
  float* out;
  int32_t channels;
  const float* bias;
  Activation activation;  // at most kTanh
  float alpha;
  bool accumulate;
};
void add_parts(const PartSums& sums, cudaStream_t stream);

// gradient (outputs, lines) of parts (splits, lines, outputs at a pitch)
struct PartGradients {
  const float* parts;
  int32_t splits, lines, outputs, pitch;
  float* gradient;
};
void add_gradient_parts(const PartGradients& sums, cudaStream_t stream);

}  // namespace facegen::cuda
