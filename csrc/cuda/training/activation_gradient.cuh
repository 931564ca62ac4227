// dy * activation', of one number: as cpu/isa/activation_gradients.h.
#pragma once

#include "cuda/generic/element.cuh"

namespace facegen::cuda {

__device__ inline float silu_slope(float x, float a) {
  const float s = sigmoid(x * a);
  return s * (1.0f + x * a * (1.0f - s));
}

// The normal distribution's function, and x times its density.
__device__ inline float gelu_slope(float x) {
  constexpr float kDensity = 0.398942280401432678f;  // of 0: 1 / sqrt(2 pi)
  return 0.5f * (erff(x * 0.707106781186547524f) + 1.0f) + x * (expf(x * x * -0.5f) * kDensity);
}

__device__ inline float gelu_tanh_slope(float x) {
  constexpr float kRoot = 0.797884560802865356f;  // of 2 / pi
  const float t = tanhf(fmaf(x * x * (0.044715f * kRoot), x, x * kRoot));
  const float inner = fmaf(3.0f * 0.044715f * kRoot, x * x, kRoot);
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}

__device__ inline float mish_slope(float x) {
  const float t = tanhf(softplus(x));
  return t + x * sigmoid(x) * (1.0f - t * t);
}

__device__ inline float hard_swish_slope(float x, float alpha, float beta) {
  const float gate = fmaf(alpha, x, beta);
  return gate > 0.0f ? gate < 1.0f ? fmaf(alpha, x, gate) : 1.0f : 0.0f;
}

// `v` is the activation's output; or its input, from kHardSwish to kAbs and of kSign. At the corner of ReLU
// the derivative is 0, of leaky ReLU its slope.
__device__ inline float activation_gradient(Activation activation, float alpha, float beta, float v,
                                            float dy) {
  switch (activation) {
    case Activation::kRelu: return v > 0.0f ? dy : 0.0f;
    case Activation::kLeakyRelu: return v > 0.0f ? dy : dy * alpha;
    case Activation::kTanh: return dy * (1.0f - v * v);
    case Activation::kSigmoid: return dy * (v * (1.0f - v));
    case Activation::kClip: return v > alpha && v < beta ? dy : 0.0f;
    case Activation::kElu: return dy * (v > 0.0f ? beta : v + alpha * beta);
    case Activation::kHardSigmoid: return v > 0.0f && v < 1.0f ? dy * alpha : 0.0f;
    case Activation::kSoftplus: return dy * -expm1f(-v);
    case Activation::kExp: return dy * v;
    case Activation::kSqrt: return dy * (0.5f / v);
    case Activation::kReciprocal: return dy * -(v * v);
    case Activation::kHardSwish: return dy * hard_swish_slope(v, alpha, beta);
    case Activation::kSilu: return dy * silu_slope(v, alpha);
    case Activation::kGelu: return dy * gelu_slope(v);
    case Activation::kGeluTanh: return dy * gelu_tanh_slope(v);
    case Activation::kMish: return dy * mish_slope(v);
    case Activation::kLog: return dy / v;
    case Activation::kAbs: return v > 0.0f ? dy : v < 0.0f ? -dy : 0.0f;
    case Activation::kSign: return fabsf(v) <= 1.0f ? dy : 0.0f;
    case Activation::kNone:
    case Activation::kPrelu: return dy;
  }
  return dy;
}

}  // namespace facegen::cuda
