// Sums over the channels of pixels. A pixel's channels are shared by neighbouring threads of a warp, as many
// as its runs of channels need; their sums are added as a tree, which gives the same to each of them.
#pragma once

#include <cstdint>

#include "cuda/training/launch.cuh"
#include "divide_up.h"

namespace facegen::cuda {

struct Rows {
  int64_t count;  // pixels
  int32_t channels;
  int32_t lanes;  // threads of a pixel, a power of 2
  unsigned grid() const { return grid_of(count * lanes); }
};

// `fours`: a thread has four channels at a time.
inline Rows plan_rows(int64_t pixels, int32_t channels, bool fours) {
  const int32_t runs = divide_up(channels, fours ? 4 : 1);
  Rows rows = {pixels, channels, 1};
  while (rows.lanes < 32 && rows.lanes < runs) rows.lanes *= 2;
  return rows;
}

#ifdef __CUDACC__
struct RowThreads {
  int lane, lanes;
  uint32_t mask;  // of the warp's threads, those of this pixel

  // body(c) for the first channel of each of this thread's runs.
  template <int kCount, class Body>
  __device__ void for_each_run(int channels, const Body& body) const {
    for (int c = lane * kCount; c < channels; c += lanes * kCount) body(c);
  }
  __device__ double sum(double own) const {
    for (int apart = lanes / 2; apart > 0; apart /= 2) own += __shfl_xor_sync(mask, own, apart);
    return own;
  }
  __device__ float largest(float own) const {
    for (int apart = lanes / 2; apart > 0; apart /= 2) {
      own = fmaxf(own, __shfl_xor_sync(mask, own, apart));
    }
    return own;
  }
};

// body(pixel, threads), by all threads of a pixel together.
template <class Body>
__device__ inline void for_each_row(const Rows& rows, const Body& body) {
  const int lanes = rows.lanes, thread = static_cast<int>(threadIdx.x);
  const int lane = thread % lanes, first = thread % 32 - lane;
  const uint32_t mask = (lanes == 32 ? ~0u : (1u << lanes) - 1) << first;
  const RowThreads threads = {lane, lanes, mask};
  const int64_t rows_of_block = kBlockThreads / lanes, step = gridDim.x * rows_of_block;
  for (int64_t row = blockIdx.x * rows_of_block + thread / lanes; row < rows.count; row += step) {
    body(row, threads);
  }
}
#endif

}  // namespace facegen::cuda
