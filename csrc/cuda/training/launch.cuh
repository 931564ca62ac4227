// Kernels that do the same for every number: how many blocks, and which numbers a thread has.
#pragma once

#include <cstdint>

#include "cuda/generic/element.cuh"
#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda {

constexpr int kBlockThreads = 256;

inline unsigned grid(int64_t blocks) {
  if (blocks >= int64_t{1} << 31) {
    throw Error(cudaErrorInvalidConfiguration, "a batch of more blocks than a GPU counts");
  }
  return static_cast<unsigned>(blocks);
}

// Whether float4 can be read there.
inline bool is_vector_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// Blocks for so many numbers: threads of more than 2^16 blocks have several.
inline unsigned grid_of(int64_t numbers) {
  const int64_t blocks = divide_up(numbers, int64_t{kBlockThreads});
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks < 65536 ? blocks : 65536);
}

#ifdef __CUDACC__
template <class Body>
__device__ inline void for_each_number(int64_t count, const Body& body) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) body(i);
}

// Any activation but PReLU.
__device__ inline float activate_one(float x, Activation activation, float alpha, float beta) {
  if (activation <= Activation::kTanh) return activate(x, activation, alpha);
  return activate_rarely(x, activation, alpha, beta);
}

__device__ inline void put(float& to, float value, bool accumulate) {
  to = accumulate ? to + value : value;
}
#endif

}  // namespace facegen::cuda
