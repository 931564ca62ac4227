// What max pools and their gradients share: windows, and how blocks walk maps.
#pragma once

#include "cuda/fit/pool_plan.h"
#include "cuda/training/call.h"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {

struct Pool {
  const float* x;
  int32_t in_h, in_w, out_h, out_w, channels;
  Window window;

#ifdef __CUDACC__
  // The first row, or column, of the input that window o holds, and that behind its last; some may not exist.
  __device__ int top(int oy) const { return oy * window.stride_h - window.pad_top; }
  __device__ int left(int ox) const { return ox * window.stride_w - window.pad_left; }
  __device__ int bottom(int oy) const { return min(in_h, top(oy) + window.kernel_h); }
  __device__ int right(int ox) const { return min(in_w, left(ox) + window.kernel_w); }

  __device__ bool has(int iy, int ix) const {
    return static_cast<unsigned>(iy) < static_cast<unsigned>(in_h) &&
           static_cast<unsigned>(ix) < static_cast<unsigned>(in_w);
  }
  __device__ bool has_window(int oy, int ox) const {
    return static_cast<unsigned>(oy) < static_cast<unsigned>(out_h) &&
           static_cast<unsigned>(ox) < static_cast<unsigned>(out_w);
  }
  __device__ int64_t pixel(int64_t image, int iy, int ix) const { return (image * in_h + iy) * in_w + ix; }
  __device__ int64_t in(int64_t image, int iy, int ix) const { return pixel(image, iy, ix) * channels; }
  __device__ int64_t out(int64_t image, int oy, int ox) const {
    return ((image * out_h + oy) * out_w + ox) * channels;
  }
#endif
};

static_assert(kPoolThreads == kBlockThreads);

#ifdef __CUDACC__
// body(image, y, x, vector) for each of a block's.
template <class Body>
__device__ inline void for_each_place(const PoolWalk& walk, const Body& body) {
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * walk.block_rows;
  const int row_items = walk.width * walk.vectors, items = min(walk.block_rows, walk.rows - first) * row_items;
  for (int i = static_cast<int>(threadIdx.x); i < items; i += kBlockThreads) {
    const int row = walk.by_row.divide(i), of_row = i - row * row_items, x = walk.by_place.divide(of_row);
    const int image = walk.by_height.divide(first + row);
    body(int64_t{image}, first + row - image * walk.height, x, of_row - x * walk.vectors);
  }
}

template <int kVector>
__device__ inline void grow(Numbers<kVector>& most, const Numbers<kVector>& x) {
#pragma unroll
  for (int e = 0; e < kVector; ++e) most.v[e] = max_or_nan(most.v[e], x.v[e]);
}

template <int kVector>
__device__ inline Numbers<kVector> all_of(float value) {
  Numbers<kVector> n;
#pragma unroll
  for (int e = 0; e < kVector; ++e) n.v[e] = value;
  return n;
}
#endif

inline Pool make_pool(const TrainingCall& call) {
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  return {call.x.data, x.h, x.w, y.h, y.w, x.c, call.step.window};
}

}  // namespace facegen::cuda
