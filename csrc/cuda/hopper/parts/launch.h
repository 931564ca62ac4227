// Launches of kernels that call ptx::wait_for_steps_before: of small batches, they start while the
// kernel before them still runs, which hides their start and what they prepare. (Large batches were
// up to 4% slower so.)
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "cuda/fit/shared_memory.h"
#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda::hopper {

constexpr int64_t kEarlyImages = 8;

inline cudaLaunchAttribute early_start(int64_t images) {
  cudaLaunchAttribute early = {};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = images <= kEarlyImages;
  return early;
}

// More shared memory than 48 KiB must be asked for, on every device anew. For all layers the same is
// asked for, since several threads may launch a kernel at once.
template <class Kernel>
void allow_shared(Kernel kernel, std::size_t bytes) {
  const int most = std::max(kMostSharedBytes, static_cast<int>(bytes));
  FACEGEN_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most));
}

template <class Kernel>
int blocks_a_multiprocessor(Kernel kernel, int threads, int shared_bytes) {
  int blocks = 1;
  allow_shared(kernel, static_cast<std::size_t>(shared_bytes));
  FACEGEN_CUDA_CHECK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(
      &blocks, kernel, threads, static_cast<std::size_t>(shared_bytes)));
  return blocks;
}

// Warpgroups of a block, at most `most`: of small batches, all multiprocessors have some of the tiles.
inline int spread_teams(int64_t tiles, int64_t blocks_at_once, int most) {
  return static_cast<int>(std::clamp<int64_t>(divide_up(tiles, blocks_at_once), 1, most));
}

template <class Kernel, class... Arguments>
void launch(Kernel kernel, dim3 grid, int threads, std::size_t shared_bytes, int64_t images,
            cudaStream_t stream, const Arguments&... arguments) {
  allow_shared(kernel, shared_bytes);
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
