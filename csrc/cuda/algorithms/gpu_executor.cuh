// The executor of convolution.h on a GPU: every `each` and every `blocks` is a kernel.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda::algorithms {

constexpr int kThreadsOfABlock = 256;  // where these have nothing in common

template <class Body>
__global__ void __launch_bounds__(kThreadsOfABlock)
    run_threads(const __grid_constant__ Body body, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kThreadsOfABlock + threadIdx.x;
  if (i < count) body(i);
}

template <class Body>
struct GpuBlock {
  typename Body::Shared& shared;
  typename Body::Registers& registers;

  template <class Turn>
  __device__ void each(const Turn& turn) {
    turn(shared, registers, static_cast<int>(threadIdx.x));
    __syncthreads();
  }
};

template <class Body>
__global__ void __launch_bounds__(Body::kThreads, Body::kBlocks)
    run_blocks(const __grid_constant__ Body body) {
  __shared__ typename Body::Shared shared;
  typename Body::Registers registers;
  GpuBlock<Body> block = {shared, registers};
  body(block, int64_t{blockIdx.x}, int64_t{blockIdx.y});
}

struct GpuExecutor {
  cudaStream_t stream;

  template <class Body>
  void each(int64_t count, const Body& body) const {
    if (count == 0) return;
    const auto blocks = static_cast<unsigned>(divide_up(count, kThreadsOfABlock));
    run_threads<<<blocks, kThreadsOfABlock, 0, stream>>>(body, count);
    FACEGEN_CUDA_CHECK_LAUNCH(Body::kName);
  }

  template <class Body>
  void blocks(int64_t count, int64_t batch, const Body& body) const {
    const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>(batch));
    run_blocks<<<grid, Body::kThreads, 0, stream>>>(body);
    FACEGEN_CUDA_CHECK_LAUNCH(Body::kName);
  }
};

}  // namespace facegen::cuda::algorithms
