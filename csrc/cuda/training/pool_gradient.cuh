// What the kernels of the gradients of max pools share.
#pragma once

#include "cuda/training/pixels.cuh"
#include "cuda/training/pool.cuh"
#include "cuda/training/ramp.cuh"

namespace facegen::cuda {

// NaN is the largest, as in the pool: where there is one, the largest is none of the others.
__device__ inline bool is_largest(float value, float largest) { return value == largest || value != value; }

// And where the gradient goes: dx, through the slope of a ramp whose output x is, and dx as an operand.
struct PoolGradient {
  const float *y, *dy;
  float* dx;
  bool accumulate;
  Ramp ramp;
  OperandTarget operand;
};

// The gradient in some of a pixel's channels, of which it has x: number `at` of the map, if the channels exist, and
// number `to` of the operand. What that has behind the channels is 0.
template <int kVector>
__device__ __forceinline__ void put_gradient(const PoolGradient& g, int64_t at, int64_t to, bool is_there,
                                             const Numbers<kVector>& x, Numbers<kVector> sum) {
  if (g.ramp.slope != 1.0f) {
#pragma unroll
    for (int e = 0; e < kVector; ++e) sum.v[e] = g.ramp.gradient(x.v[e], sum.v[e]);
  }
  if (is_there && !g.operand.alone) store_numbers(g.dx + at, sum);
  if (g.operand.to != nullptr) write_operand(g.operand, to, sum);
}

template <int kVector>
__device__ inline void put_pixel(const Pool& p, const PoolGradient& g, int64_t pixel, int channel,
                                 const Numbers<kVector>& x, const Numbers<kVector>& sum) {
  put_gradient(g, pixel * p.channels + channel, pixel * g.operand.pitch + channel, channel < p.channels, x, sum);
}

// Channels of a pixel, with what is behind them in an operand.
inline int columns_of(const Pool& p, const PoolGradient& g) { return g.operand.to == nullptr ? p.channels : g.operand.pitch; }

// ---- overlapping_pools.cu: windows of 3x3 in steps of 2, `vector` channels at a time
void run_overlapping_pool_gradient(const TrainingCall& call, const Pool& p, const PoolGradient& g, int vector);

}  // namespace facegen::cuda
