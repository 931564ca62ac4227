// Where results of a kernel go whose epilogue is a bias and ReLU, or nothing: 8 channels at a time.
#pragma once

#include "cuda/generic/element.cuh"

namespace facegen::cuda::hopper {

struct Output {
  Operand out;
  const float* bias;
  float least;  // of an output: 0 behind ReLU, else -infinity
};

inline Output make_output(const Step& step, const Images& out) {
  const bool relu = step.epilogue.activation == Activation::kRelu;
  return {make_operand(step.out, out), step.bias, relu ? 0.0f : -INFINITY};
}

// Adds the bias, and applies ReLU where there is one.
template <int kValues>
__device__ __forceinline__ void finish(const Output& to, const float (&bias)[kValues],
                                       float (&v)[kValues]) {
#pragma unroll
  for (int e = 0; e < kValues; ++e) v[e] = max_or_nan(v[e] + bias[e], to.least);
}

// Stores eight neighbouring channels, from element `at` on.
template <bool kHalf>
__device__ __forceinline__ void store(const Output& to, int64_t at, const float (&v)[8]) {
  store8<kHalf>(to.out.format, to.out.data, to.out.plane, at, v);
}

// Takes the eight neighbouring channels that a thread has of each 32 columns of a warpgroup's product,
// from its first or second row (see neighbouring_channel).
__device__ __forceinline__ void take8(const float* of_32_columns, int row, float (&v)[8]) {
#pragma unroll
  for (int e = 0; e < 8; ++e) v[e] = of_32_columns[4 * (e / 2) + 2 * row + e % 2];
}

}  // namespace facegen::cuda::hopper
