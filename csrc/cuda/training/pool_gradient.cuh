// What the kernels of the gradients of max pools share.
#pragma once

#include "cuda/training/column_sums.cuh"
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
  float* bias;  // where the sum over pixels goes; null: nowhere
  double* parts;
  uint32_t* arrivals;
};

// The gradient in some of a pixel's channels, of which it has x: number `at` of the map, if the channels exist, and
// number `to` of the operand. What that has behind the channels is 0. Gives what is put there.
template <int kVector>
__device__ __forceinline__ Numbers<kVector> put_gradient(const PoolGradient& g, int64_t at, int64_t to, bool is_there,
                                             const Numbers<kVector>& x, Numbers<kVector> sum) {
  if (g.ramp.slope != 1.0f) {
#pragma unroll
    for (int e = 0; e < kVector; ++e) sum.v[e] = g.ramp.gradient(x.v[e], sum.v[e]);
  }
  if (is_there && !g.operand.alone) store_numbers(g.dx + at, sum);
  if (g.operand.to != nullptr) write_operand(g.operand, to, sum);
  return sum;
}

template <int kVector>
__device__ inline Numbers<kVector> put_pixel(const Pool& p, const PoolGradient& g, int64_t pixel, int channel,
                                 const Numbers<kVector>& x, const Numbers<kVector>& sum) {
  return put_gradient(g, pixel * p.channels + channel, pixel * g.operand.pitch + channel, channel < p.channels, x, sum);
}

// Ends a block that sums: a thread has `own`, of the channels that all threads t, t + apart, ... have. Each of
// `splits` blocks so has the same 4 * apart of the channels from `first` on.
__device__ inline void finish_bias(const PoolGradient& g, const double (&own)[4], int threads, int apart, int first,
                                   int channels, int split, int splits, int64_t line) {
  __shared__ double shared[4 * kBlockThreads];
  const int thread = static_cast<int>(threadIdx.x), columns = 4 * apart;
#pragma unroll
  for (int e = 0; e < 4; ++e) shared[4 * thread + e] = own[e];
  __syncthreads();
  double total[1] = {};
  for (int i = thread; thread < columns && i < 4 * threads; i += columns) total[0] += shared[i];
  __syncthreads();  // shared is free again
  double* const parts = g.parts + line * splits * columns;
  if (!join_splits(total, shared, split, splits, columns, parts, g.arrivals + line)) return;
  if (thread < columns && first + thread < channels) g.bias[first + thread] = static_cast<float>(total[0]);
}

// Channels of a pixel, with what is behind them in an operand.
inline int columns_of(const Pool& p, const PoolGradient& g) { return g.operand.to == nullptr ? p.channels : g.operand.pitch; }

// ---- overlapping_pools.cu: windows of 3x3 in steps of 2, `vector` channels at a time
void run_overlapping_pool_gradient(const TrainingCall& call, const Pool& p, const PoolGradient& g, int vector);

}  // namespace facegen::cuda
