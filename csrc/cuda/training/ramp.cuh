// No activation, ReLU and leaky ReLU, forwards and backwards, without a choice among activations: kernels of
// these read their next rows while they compute, those of the others do not.
#pragma once

#include "cuda/generic/element.cuh"

namespace facegen::cuda {

inline bool is_ramp(Activation activation) { return activation <= Activation::kLeakyRelu; }
static_assert(Activation::kNone < Activation::kRelu && Activation::kRelu < Activation::kLeakyRelu &&
              static_cast<int>(Activation::kLeakyRelu) == 2);

// x < 0 ? slope x : x. A slope of 0 makes 0 of infinity too.
struct Ramp {
  float slope;
  __device__ float of_negative(float x) const { return slope == 0.0f ? 0.0f : x * slope; }
  __device__ float apply(float x) const { return x < 0.0f ? of_negative(x) : x; }
  // x: what goes in or what comes out. At the corner the slope is that of numbers below 0.
  __device__ float gradient(float x, float dy) const { return x > 0.0f ? dy : of_negative(dy); }
};
inline Ramp make_ramp(Activation activation, float alpha) {
  return {activation == Activation::kNone ? 1.0f : activation == Activation::kRelu ? 0.0f : alpha};
}

}  // namespace facegen::cuda
