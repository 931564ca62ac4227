// Copies between the host and the device, in the order of a stream.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "cuda/runtime/error.h"

namespace facegen::cuda {

inline void copy_up(void* to, const void* from, int64_t bytes, cudaStream_t stream) {
  FACEGEN_CUDA_CHECK(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream));
}

inline void copy_down(void* to, const void* from, int64_t bytes, cudaStream_t stream) {
  FACEGEN_CUDA_CHECK(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream));
}

// To the host, or to another place on the GPU.
inline void copy_out(void* to, const void* from, int64_t bytes, cudaStream_t stream) {
  FACEGEN_CUDA_CHECK(
      cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDefault, stream));
}

}  // namespace facegen::cuda
