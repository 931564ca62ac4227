// Activations in training, and their gradients: dy times the derivative, which is told from what the
// activation gives, or where that does not say it (see grad/steps) from what it reads.
#pragma once

#include "cpu/training/kernels.h"
#include "isa/activate.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::GradientRow;

// Like for_each_vector, for counts beyond int.
template <typename Body>
inline void for_each_vector_of(int64_t count, Body body) {
  constexpr int64_t kPart = int64_t{1} << 30;
  for (int64_t first = 0; first < count; first += kPart) {
    const int64_t left = count - first;
    for_each_vector(static_cast<int>(left < kPart ? left : kPart), [&](int i, auto get, auto put) {
      body(first + i, get, put);
    });
  }
}

// x sigmoid(a x), of which a = 1 is SiLU.
inline Vec silu_slope(Vec x, float a) {
  const Vec s = sigmoid(x * a);
  return s * (1.0f + x * a * (1.0f - s));
}

// The normal distribution's function, and x times its density.
inline Vec gelu_slope(Vec x) {
  constexpr float kDensity = 0.398942280401432678f;  // of 0: 1 / sqrt(2 pi)
  const Vec density = select(x * x > 170.0f, Vec{}, exp(x * x * -0.5f)) * kDensity;
  return 0.5f * (erf(x * 0.707106781186547524f) + 1.0f) + x * density;
}

inline Vec gelu_tanh_slope(Vec x) {
  constexpr float kRoot = 0.797884560802865356f;  // of 2 / pi
  const Vec t = tanh(multiply_add(x * x * (0.044715f * kRoot), x, x * kRoot));
  const Vec inner = multiply_add(3.0f * 0.044715f * kRoot, x * x, broadcast(kRoot));
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner;
}

// With t = tanh(log(1 + exp(x))) = n / (n + 2), as in mish.
inline Vec mish_slope(Vec x) {
  const Vec e = select(x < -87.0f, Vec{}, exp(minimum(x, broadcast(20.0f))));
  const Vec n = e * (e + 2.0f);
  const Vec t = n / (n + 2.0f);
  return t + x * sigmoid(x) * (1.0f - t * t);
}

inline Vec hard_swish_slope(Vec x, float alpha, float beta) {
  const Vec gate = multiply_add(alpha, x, broadcast(beta));
  const Vec inside = multiply_add(alpha, x, gate);
  return select(gate > 0.0f, select(gate < 1.0f, inside, broadcast(1.0f)), Vec{});
}

// dy * activation'. `v` is the activation's output; or its input, from kHardSwish to kAbs and of kSign,
// which passes dy where |x| <= 1 (the straight-through estimator: Hinton 2012, Bengio et al. 2013). At the
// corner of ReLU the derivative is 0, of leaky ReLU its slope.
template <Activation A>
inline Vec before(Vec dy, Vec v, float alpha, float beta) {
  switch (A) {
    case Activation::kRelu: return select(v > 0.0f, dy, Vec{});
    case Activation::kLeakyRelu: return select(v > 0.0f, dy, dy * alpha);
    case Activation::kTanh: return dy * (1.0f - v * v);
    case Activation::kSigmoid: return dy * (v * (1.0f - v));
    case Activation::kClip: return select(v > alpha, select(v < beta, dy, Vec{}), Vec{});
    case Activation::kElu: return dy * select(v > 0.0f, broadcast(beta), v + alpha * beta);
    case Activation::kHardSigmoid:
      return select(v > 0.0f, select(v < 1.0f, dy * alpha, Vec{}), Vec{});
    case Activation::kSoftplus: return dy * -exp_minus_1(-v);
    case Activation::kExp: return dy * v;
    case Activation::kSqrt: return dy * (0.5f / v);
    case Activation::kReciprocal: return dy * -(v * v);
    case Activation::kHardSwish: return dy * hard_swish_slope(v, alpha, beta);
    case Activation::kSilu: return dy * silu_slope(v, alpha);
    case Activation::kGelu: return dy * gelu_slope(v);
    case Activation::kGeluTanh: return dy * gelu_tanh_slope(v);
    case Activation::kMish: return dy * mish_slope(v);
    case Activation::kLog: return dy / v;
    case Activation::kAbs: return select(v > 0.0f, dy, select(v < 0.0f, -dy, Vec{}));
    case Activation::kSign: return select(v >= -1.0f, select(v <= 1.0f, dy, Vec{}), Vec{});
    case Activation::kNone:
    case Activation::kPrelu: return dy;
  }
  return dy;
}

// body(constant of the activation)
template <Activation A>
struct Constant {
  static constexpr Activation value = A;
};
template <typename Body>
inline void by_activation(Activation activation, Body body) {
#define FACEGEN_ACTIVATION(A) \
  case Activation::A: return body(Constant<Activation::A>{});
  switch (activation) {
    FACEGEN_PLAIN_ACTIVATIONS(FACEGEN_ACTIVATION)
    FACEGEN_ACTIVATION(kPrelu)
  }
#undef FACEGEN_ACTIVATION
}

void activate_gradient(GradientRow row, const float* v, const float* dy, float* out, int64_t count,
                       bool accumulate) {
  by_activation(row.activation, [&](auto activation) {
    for_each_vector_of(count, [&](int64_t i, auto get, auto put) {
      const Vec g =
          before<decltype(activation)::value>(get(dy + i), get(v + i), row.alpha, row.beta);
      put(out + i, accumulate ? get(out + i) + g : g);
    });
  });
}

void activate_row(GradientRow row, const float* x, float* y, int64_t count) {
  by_activation(row.activation, [&](auto activation) {
    for_each_vector_of(count, [&](int64_t i, auto get, auto put) {
      put(y + i, activate<decltype(activation)::value>(get(x + i), row.alpha, row.beta));
    });
  });
}

void prelu(const float* x, const float* slopes, int64_t pixels, int channels, float* y) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, y += channels) {
    for_each_vector(channels, [&](int i, auto get, auto put) {
      const Vec v = get(x + i);
      put(y + i, select(v < 0.0f, v * get(slopes + i), v));
    });
  }
}

void prelu_gradient(const float* x, const float* dy, const float* slopes, int64_t pixels,
                    int channels, float* dx, bool accumulate) {
  for (int64_t p = 0; p < pixels; ++p, x += channels, dy += channels, dx += channels) {
    for_each_vector(channels, [&](int i, auto get, auto put) {
      const Vec g = get(dy + i), d = select(get(x + i) < 0.0f, g * get(slopes + i), g);
      put(dx + i, accumulate ? get(dx + i) + d : d);
    });
  }
}

}  // namespace
