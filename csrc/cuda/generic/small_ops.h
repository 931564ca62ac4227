// The steps that are not a GEMM.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/tensor.h"
#include "program.h"

namespace facegen::cuda {

// A step on a batch; bias (beta), weight (gamma), scale and shift of `step` are device pointers.
struct StepCall {
  const Step& step;
  int64_t images;
  Operands operands;
  cudaStream_t stream;
};

void max_pool(const StepCall& call);
void softmax(const StepCall& call);
void shuffle(const StepCall& call);
void rearrange(const StepCall& call);
void pointwise(const StepCall& call);

}  // namespace facegen::cuda
