// 3x3 max-pools of stride 2 in registers. A warp has 16 rows of A, pixels of a row of the
// convolution, of which it makes 7 of the pool's: lane 4 g + q has rows g and g + 8. Warps overlap.
// The pixels are
//
//   pairs    14 w + 2 g and its right neighbour
//   blocks   14 w + g and the one 7 further right
#pragma once

#include "cuda/fit/shared_memory.h"
#include "cuda/generic/element.cuh"

namespace facegen::cuda::hopper {

// Of a row of the convolution, for each pair of neighbours and the pixel behind it.
template <int kColumns>
__device__ __forceinline__ void pool_pairs(const float (&sums)[kColumns / 2],
                                           float (&pooled)[kColumns / 4]) {
#pragma unroll
  for (int i = 0; i < kColumns / 4; ++i) {
    const float first = sums[i / 2 * 4 + i % 2], second = sums[i / 2 * 4 + 2 + i % 2];
    pooled[i] = max_or_nan(max_or_nan(first, second), __shfl_down_sync(~0u, first, 4));
  }
}

// The same with blocks. Windows begin at even pixels: of the first block where g is even, of the
// second where it is odd. The other pixel of each lane is what the lane before needs.
template <int kColumns>
__device__ __forceinline__ void pool_blocks(const float (&sums)[kColumns / 2],
                                            float (&pooled)[kColumns / 4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4;
  const bool odd = g % 2;
  // A block's last pixel is the next one's first.
  const int third = (g == 6 ? 1 : g + 2) * 4 + lane % 4;
#pragma unroll
  for (int i = 0; i < kColumns / 4; ++i) {
    const float first = sums[i / 2 * 4 + i % 2], second = sums[i / 2 * 4 + 2 + i % 2];
    const float own = odd ? second : first, other = odd ? first : second;
    const float next = __shfl_down_sync(~0u, other, 4), last = __shfl_sync(~0u, own, third);
    pooled[i] = max_or_nan(max_or_nan(own, next), last);
  }
}

// Which pixel of the warp's 7 that is, or 7 for none.
__device__ inline int block_pixel() {
  const int g = static_cast<int>(threadIdx.x) % 32 / 4;
  return g == 7 ? kWarpPooled : (g % 2 ? g + 7 : g) / 2;
}

// Takes the next of the three rows of a window; the last is stored, and is the next window's first.
// Of each 32 columns, store(...) gets the 8 of a thread side by side.
template <int kColumns, class Along, class Store>
__device__ __forceinline__ void pool_row(const Along& along, const float (&sums)[kColumns / 2],
                                         float (&largest)[kColumns / 4], int row,
                                         const Store& store) {
  float pooled[kColumns / 4];
  along(sums, pooled);
  if (row > 0) {
#pragma unroll
    for (int c = 0; c < kColumns / 4; ++c) largest[c] = max_or_nan(largest[c], pooled[c]);
    if (row == 1) return;
    store(largest);
  }
#pragma unroll
  for (int c = 0; c < kColumns / 4; ++c) largest[c] = pooled[c];
}

}  // namespace facegen::cuda::hopper
