// Launches of kernels that call ptx::wait_for_steps_before: of small batches, they start while the
// kernel before them still runs, which hides their start and what they prepare. (Large batches were
// up to 4% slower so.)
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "cuda/runtime/error.h"

namespace facegen::cuda::hopper {

constexpr int64_t kEarlyImages = 8;

inline cudaLaunchAttribute early_start(int64_t images) {
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = images <= kEarlyImages;
  return early;
}

template <class Kernel, class... Arguments>
void launch(Kernel kernel, dim3 grid, int threads, std::size_t shared_bytes, int64_t images,
            cudaStream_t stream, const Arguments&... arguments) {
  cudaLaunchAttribute early = early_start(images);
  cudaLaunchConfig_t config = {};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  FACEGEN_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, arguments...));
}

}  // namespace facegen::cuda::hopper
