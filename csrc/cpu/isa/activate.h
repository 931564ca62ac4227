// The activations of a vector: see Activation in program.h. NaN passes all of them.
//
// Errors: exponentials, logarithms and what is made of them are within 4e-7 of the result, or of x
// where the result is x times something; erf within 2e-7 of 1.
#pragma once

#include "isa/math.h"
#include "isa/vec.h"
#include "program.h"

namespace {

using facegen::Activation;

inline Vec between(Vec x, Vec low, Vec high) {
  x = select(x < low, low, x);
  return select(x > high, high, x);
}

inline Vec sigmoid(Vec x) {
  const Vec e = select(x < -87.0f, Vec{}, exp(x));  // of minus infinity exactly 0
  return e / (e + 1.0f);
}

// log(1 + exp(x)). What 1 + e loses of e is made good by the quotient (W. Kahan).
inline Vec softplus(Vec x) {
  const Vec e = exp(select(x < 0.0f, x, -x)), sum = e + 1.0f;
  const Vec rest = sum - 1.0f;
  const Vec log1p = select(rest == 0.0f, e, log(sum) * (e / rest));
  return select(x < 0.0f, Vec{}, x) + log1p;
}

// x tanh(log(1 + e)) = x n / (n + 2) with e = exp(x) and n = e (e + 2).
inline Vec mish(Vec x) {
  const Vec e = select(x < -87.0f, Vec{}, exp(minimum(x, broadcast(20.0f))));
  const Vec n = e * (e + 2.0f);
  return x * (n / (n + 2.0f));
}

inline Vec gelu_tanh(Vec x) {
  constexpr float kRoot = 0.797884560802865356f;  // of 2 / pi
  const Vec inner = multiply_add(x * x * (0.044715f * kRoot), x, x * kRoot);
  return x * 0.5f * (tanh(inner) + 1.0f);
}

template <Activation A>
inline Vec activate(Vec x, float alpha, float beta) {
  switch (A) {
    case Activation::kNone: return x;
    case Activation::kRelu: return select(x < 0.0f, Vec{}, x);
    case Activation::kLeakyRelu: return select(x < 0.0f, x * alpha, x);
    case Activation::kTanh: return tanh(x);
    case Activation::kPrelu: return x;  // a slope a channel: not here
    case Activation::kClip: return between(x, broadcast(alpha), broadcast(beta));
    case Activation::kElu: return select(x < 0.0f, exp_minus_1(x) * alpha, x) * beta;
    case Activation::kSigmoid: return sigmoid(x);
    case Activation::kHardSigmoid:
      return between(multiply_add(alpha, x, broadcast(beta)), Vec{}, broadcast(1.0f));
    case Activation::kHardSwish:
      return x * between(multiply_add(alpha, x, broadcast(beta)), Vec{}, broadcast(1.0f));
    case Activation::kSilu: return x * sigmoid(x * alpha);
    case Activation::kGelu: return x * 0.5f * (erf(x * 0.707106781186547524f) + 1.0f);
    case Activation::kGeluTanh: return gelu_tanh(x);
    case Activation::kMish: return mish(x);
    case Activation::kSoftplus: return softplus(x);
    case Activation::kExp: {
      const Vec root = exp(x * 0.5f);  // whose range is not cut short
      return root * root;
    }
    case Activation::kLog: return log(x);
    case Activation::kAbs: return select(x < 0.0f, -x, x);
    case Activation::kSqrt: return sqrt(x);
    case Activation::kReciprocal: return 1.0f / x;
    case Activation::kSign:  // NaN by the last
      return select(x < 0.0f, broadcast(-1.0f), select(x >= 0.0f, broadcast(1.0f), x));
  }
  return x;
}

// Calls body(activate) with the activation as a function of a vector and the channel of its first
// lane, get(p) being how a vector is read: one switch for a whole row.
template <Activation A, typename Body>
inline void with_plain_activation(const facegen::Epilogue& e, Body body) {
  body([&e](Vec x, int, auto) { return activate<A>(x, e.alpha, e.beta); });
}

// All but PReLU, whose slopes are by channel: M(kNone) M(kRelu) ...
#define FACEGEN_PLAIN_ACTIVATIONS(M) \
  M(kNone) M(kRelu) M(kLeakyRelu) M(kTanh) M(kClip) M(kElu) \
  M(kSigmoid) M(kHardSigmoid) M(kHardSwish) M(kSilu) M(kGelu) M(kGeluTanh) \
  M(kMish) M(kSoftplus) M(kExp) M(kLog) M(kAbs) M(kSqrt) \
  M(kReciprocal) M(kSign)

template <typename Body>
void with_activation(const facegen::Epilogue& e, Body body) {
#define FACEGEN_ACTIVATION(A) \
  case Activation::A: return with_plain_activation<Activation::A>(e, body);
  switch (e.activation) {
    FACEGEN_PLAIN_ACTIVATIONS(FACEGEN_ACTIVATION)
    case Activation::kPrelu:
      return body([&e](Vec x, int c, auto get) { return select(x < 0.0f, x * get(e.slopes + c), x); });
  }
#undef FACEGEN_ACTIVATION
}

}  // namespace
