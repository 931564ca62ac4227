// The sums of a product's parts, added in an order that depends on their number alone. Of many parts, threads add
// slices, in turn, and then these as a tree:
//
//   slice 0: parts 0, slices, 2 slices, ...     slice 1: parts 1, slices + 1, ...
#pragma once

#include <cstdint>

#include "cuda/training/launch.cuh"
#include "divide_up.h"

namespace facegen::cuda {

struct PartsOfProduct {
  const float* parts;  // (splits, count), below 2^31 numbers: see split_depth
  int32_t splits, count;
  int32_t log2_slices;

  unsigned blocks() const { return grid(divide_up(int64_t{count}, int64_t{kBlockThreads >> log2_slices})); }
};

static_assert(kBlockThreads == 1 << 8);
constexpr int kPartsAtOnce = 8;  // that a thread reads

// 32 slices are of 8 neighbouring numbers each: less than what memory gives at once.
inline PartsOfProduct plan_parts(const float* parts, int32_t splits, int64_t count) {
  int32_t log2 = 0;
  while (log2 < 5 && kPartsAtOnce << log2 < splits) ++log2;
  return {parts, splits, static_cast<int32_t>(count), log2};
}

#ifdef __CUDACC__
// body(number, sum), by the threads of the first slice.
template <class Body>
__device__ inline void sum_parts(const PartsOfProduct& all, const Body& body) {
  __shared__ float sums[kBlockThreads];
  const int thread = static_cast<int>(threadIdx.x), numbers = kBlockThreads >> all.log2_slices;
  const int i = static_cast<int>(blockIdx.x) * numbers + (thread & (numbers - 1));
  const int slices = 1 << all.log2_slices;
  float sum = 0.0f;
  if (i < all.count) {
#pragma unroll 1
    for (int first = thread >> (8 - all.log2_slices); first < all.splits; first += kPartsAtOnce * slices) {
      float v[kPartsAtOnce];
#pragma unroll
      for (int j = 0; j < kPartsAtOnce; ++j) {
        const int part = first + j * slices;
        v[j] = part < all.splits ? all.parts[part * all.count + i] : 0.0f;
      }
#pragma unroll
      for (const float of_part : v) sum += of_part;
    }
  }
  sums[thread] = sum;
#pragma unroll 1
  for (int apart = kBlockThreads / 2; apart >= numbers; apart /= 2) {
    __syncthreads();
    if (thread < apart) sums[thread] += sums[thread + apart];
  }
  if (thread < numbers && i < all.count) body(i, sums[thread]);
}
#endif

}  // namespace facegen::cuda
