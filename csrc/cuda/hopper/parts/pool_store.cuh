// What follows the maxima in the kernels that pool what they make: bias, activation and store.
#pragma once

#include "cuda/hopper/parts/epilogue.cuh"

namespace facegen::cuda::hopper {

struct PooledOutput {
  Operand out;
  const float* bias;
  float least;  // of an output: 0 behind ReLU, else -infinity
};

inline PooledOutput pooled_output(const Step& step, const Images& out) {
  const bool relu = step.epilogue.activation == Activation::kRelu;
  return {make_operand(step.out, out), step.bias, relu ? 0.0f : -INFINITY};
}

// The bias of eight neighbouring channels.
__device__ __forceinline__ void load_bias(const PooledOutput& to, int channel, float (&bias)[8]) {
#pragma unroll
  for (float& b : bias) b = 0.0f;
  if (to.bias != nullptr) load8(to.bias + channel, bias);
}

// Eight neighbouring channels, from element `at` on.
template <bool kHalf>
__device__ __forceinline__ void store_pooled(const PooledOutput& to, int64_t at,
                                             const float (&largest)[8], const float (&bias)[8]) {
  float v[8];
#pragma unroll
  for (int e = 0; e < 8; ++e) v[e] = ptx::max_or_nan(largest[e] + bias[e], to.least);
  store<kHalf>(to.out.format, to.out.data, to.out.plane, at, v);
}

}  // namespace facegen::cuda::hopper
