// Reading and writing single activations in any format, and the epilogue that every step ends with.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <math_constants.h>

#include <cfloat>
#include <cstdint>

#include "cuda/fit/step_fit.h"
#include "cuda/operand.h"
#include "program.h"

namespace facegen::cuda {

// float32 = hi + lo + at most 2^-17 of it.
__device__ inline void split(float x, __nv_bfloat16& hi, __nv_bfloat16& lo) {
  hi = __float2bfloat16_rn(x);
  lo = __float2bfloat16_rn(x - __bfloat162float(hi));
}

template <class Pair>
__device__ __forceinline__ uint32_t bits(Pair pair) {
  return *reinterpret_cast<uint32_t*>(&pair);
}

// Two neighbouring elements as operands: float16, or hi and lo.
template <bool kHalf>
__device__ __forceinline__ void split_pair(float x, float y, uint32_t& hi, uint32_t& lo) {
  if constexpr (kHalf) {
    hi = bits(__floats2half2_rn(x, y));
  } else {
    hi = bits(__floats2bfloat162_rn(x, y));
    lo = bits(__floats2bfloat162_rn(x - __uint_as_float(hi << 16),
                                    y - __uint_as_float(hi & 0xFFFF0000)));
  }
}

__device__ inline float load(const Operand& from, int64_t element) {
  switch (from.format) {
    case Format::kFloat32: return reinterpret_cast<const float*>(from.data)[element];
    case Format::kSplit: {
      const auto* hi = reinterpret_cast<const __nv_bfloat16*>(from.data) + element;
      return __bfloat162float(hi[0]) + __bfloat162float(hi[from.plane]);
    }
    case Format::kHalf: return __half2float(reinterpret_cast<const __half*>(from.data)[element]);
  }
  return 0.0f;
}

__device__ inline void store(const Operand& to, int64_t element, float x) {
  switch (to.format) {
    case Format::kFloat32: reinterpret_cast<float*>(to.data)[element] = x; return;
    case Format::kSplit: {
      auto* hi = reinterpret_cast<__nv_bfloat16*>(to.data) + element;
      split(x, hi[0], hi[to.plane]);
      return;
    }
    case Format::kHalf: reinterpret_cast<__half*>(to.data)[element] = __float2half_rn(x); return;
  }
}

// Eight neighbouring elements as they lie in memory: 32 bytes of float32, 16 of float16, or 16 of each
// plane of a split map.
struct RawRun {
  uint4 first, second;
};

__device__ inline void decode_run(Format format, const RawRun& raw, float (&x)[8]) {
  if (format == Format::kFloat32) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const uint4& v = i == 0 ? raw.first : raw.second;
      x[4 * i] = __uint_as_float(v.x), x[4 * i + 1] = __uint_as_float(v.y);
      x[4 * i + 2] = __uint_as_float(v.z), x[4 * i + 3] = __uint_as_float(v.w);
    }
    return;
  }
  if (format == Format::kHalf) {
    const auto* h = reinterpret_cast<const __half2*>(&raw.first);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      x[2 * i] = __low2float(h[i]);
      x[2 * i + 1] = __high2float(h[i]);
    }
    return;
  }
  const auto* hi = reinterpret_cast<const __nv_bfloat162*>(&raw.first);
  const auto* lo = reinterpret_cast<const __nv_bfloat162*>(&raw.second);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = __low2float(hi[i]) + __low2float(lo[i]);
    x[2 * i + 1] = __high2float(hi[i]) + __high2float(lo[i]);
  }
}

// Eight neighbouring elements in any format as float32; zeros where start < 0.
__device__ inline void load_run(const Operand& in, int64_t start, float (&x)[8]) {
  if (start < 0) {
#pragma unroll
    for (float& value : x) value = 0.0f;
    return;
  }
  if (in.format == Format::kFloat32) {
    const auto* from = reinterpret_cast<const uint4*>(in.data + 4 * start);
    return decode_run(Format::kFloat32, {from[0], from[1]}, x);
  }
  const auto* from = reinterpret_cast<const uint4*>(in.data + 2 * start);
  if (in.format == Format::kHalf) return decode_run(Format::kHalf, {from[0], {}}, x);
  decode_run(Format::kSplit, {from[0], from[in.plane / 8]}, x);
}

// 16 bytes at once. (An assignment of a uint4 is at times compiled to four stores.)
__device__ inline void store16(void* to, const uint32_t (&v)[4]) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v[0]), "r"(v[1]),
               "r"(v[2]), "r"(v[3])
               : "memory");
}

// Writes eight neighbouring elements, float32 or, by kHalf, one of the other formats; all addresses
// are multiples of 8 elements.
template <bool kHalf>
__device__ __forceinline__ void store8(Format format, void* out, int64_t plane, int64_t start,
                                       const float (&x)[8]) {
  if (format == Format::kFloat32) {
    auto* to = reinterpret_cast<float4*>(static_cast<float*>(out) + start);
    to[0] = make_float4(x[0], x[1], x[2], x[3]);
    to[1] = make_float4(x[4], x[5], x[6], x[7]);
    return;
  }
  auto* to = static_cast<uint16_t*>(out) + start;
  uint32_t hi[4], lo[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) split_pair<kHalf>(x[2 * i], x[2 * i + 1], hi[i], lo[i]);
  store16(to, hi);
  if constexpr (!kHalf) store16(to + plane, lo);
}

__device__ __forceinline__ void store_run(const Operand& to, int64_t start, const float (&x)[8]) {
  to.format == Format::kHalf ? store8<true>(to.format, to.data, to.plane, start, x)
                             : store8<false>(to.format, to.data, to.plane, start, x);
}

// Eight neighbouring constants; zeros where there are none.
__device__ __forceinline__ void load8(const float* from, int first, float (&v)[8]) {
#pragma unroll
  for (float& value : v) value = 0.0f;
  if (from == nullptr) return;
  const float4 a = __ldg(reinterpret_cast<const float4*>(from + first));
  const float4 b = __ldg(reinterpret_cast<const float4*>(from + first) + 1);
  v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}

// An Epilogue as a kernel argument.
struct DeviceEpilogue {
  const float *bias, *scale, *shift;  // scale and shift: both or neither
  Operand other;  // data is null where there is none; where it has one pixel, its pixel_stride is 0
  Activation activation;
  float alpha, beta;
  const float* slopes;
  Combine combine;
  bool after_activation, one_channel;
};

inline DeviceEpilogue make_epilogue(const Step& step, const Images& images) {
  const Epilogue& e = step.epilogue;
  Operand other = make_operand(e.other, images);
  if (int64_t{e.other.h} * e.other.w == 1) other.pixel_stride = 0;
  return {step.bias, e.scale,  e.shift,   other,
          e.activation, e.alpha, e.beta, e.slopes,
          e.combine, e.after_activation, e.other.c == 1};
}

// NaN passes every activation. These are the common ones.
__device__ inline float activate(float x, Activation activation, float slope) {
  switch (activation) {
    case Activation::kNone: return x;
    case Activation::kRelu: return x < 0.0f ? 0.0f : x;
    case Activation::kLeakyRelu: return x < 0.0f ? x * slope : x;
    case Activation::kTanh: return tanhf(x);
  }
  return x;
}

__device__ inline float clip(float x, float low, float high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}

__device__ inline float sigmoid(float x) {
  const float e = expf(-fabsf(x));
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

__device__ inline float softplus(float x) {
  return (x < 0.0f ? 0.0f : x) + log1pf(expf(-fabsf(x)));
}

// All the others, out of line: they would make every kernel's epilogue longer. kPrelu's alpha is its
// channel's slope.
__device__ __noinline__ inline float activate_rarely(float x, Activation activation, float alpha,
                                                     float beta) {
  switch (activation) {
    case Activation::kPrelu: return x < 0.0f ? x * alpha : x;
    case Activation::kClip: return clip(x, alpha, beta);
    case Activation::kElu: return (x < 0.0f ? alpha * expm1f(x) : x) * beta;
    case Activation::kSigmoid: return sigmoid(x);
    case Activation::kHardSigmoid: return clip(fmaf(alpha, x, beta), 0.0f, 1.0f);
    case Activation::kHardSwish: return x * clip(fmaf(alpha, x, beta), 0.0f, 1.0f);
    case Activation::kSilu: return x * sigmoid(alpha * x);
    case Activation::kGelu: return 0.5f * x * (1.0f + erff(x * 0.707106781f));
    case Activation::kGeluTanh:
      return 0.5f * x * (1.0f + tanhf(0.797884561f * fmaf(0.044715f * x * x, x, x)));
    case Activation::kMish: return x * tanhf(softplus(x));
    case Activation::kSoftplus: return softplus(x);
    case Activation::kExp: return expf(x);
    case Activation::kLog: return logf(x);
    case Activation::kAbs: return fabsf(x);
    case Activation::kSqrt: return sqrtf(x);
    case Activation::kReciprocal: return 1.0f / x;
    case Activation::kSign: return x < 0.0f ? -1.0f : x >= 0.0f ? 1.0f : x;
    default: return x;
  }
}

// Any activation of a number of channel `c`.
__device__ inline float activate_any(const DeviceEpilogue& e, int c, float x) {
  if (e.activation <= Activation::kTanh) return activate(x, e.activation, e.alpha);
  return activate_rarely(x, e.activation, e.slopes != nullptr ? e.slopes[c] : e.alpha, e.beta);
}

// The larger, or NaN if one is NaN.
__device__ inline float max_or_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

// The smaller, or NaN if one is NaN.
__device__ inline float min_or_nan(float a, float b) {
  float smaller;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(smaller) : "f"(a), "f"(b));
  return smaller;
}

__device__ inline float combine(Combine how, float a, float b) {
  switch (how) {
    case Combine::kAdd: return a + b;
    case Combine::kMultiply: return a * b;
    case Combine::kMaximum: return max_or_nan(a, b);
    case Combine::kMinimum: return min_or_nan(a, b);
  }
  return a;
}

// The quick activations (cuda/fit/step_fit.h) of many values in few instructions: unrolled epilogues
// run at the speed of the instruction cache (a tanhf for each sum made every tile of gemm.cu 4 us
// slower). This tanh and this sigmoid are within 2e-7.
template <int kValues>
__device__ __forceinline__ void activate_run(float (&x)[kValues], Activation activation, float alpha,
                                             float beta) {
  if (activation == Activation::kNone) return;
  if (activation == Activation::kClip) {
#pragma unroll
    for (float& v : x) v = min_or_nan(max_or_nan(v, alpha), beta);
    return;
  }
  if (activation == Activation::kHardSigmoid || activation == Activation::kHardSwish) {
#pragma unroll
    for (float& v : x) {
      const float factor = min_or_nan(max_or_nan(fmaf(alpha, v, beta), 0.0f), 1.0f);
      v = activation == Activation::kHardSwish ? v * factor : factor;
    }
    return;
  }
  if (activation == Activation::kSigmoid || activation == Activation::kSilu) {
    const float steepness = activation == Activation::kSilu ? -alpha : -1.0f;
#pragma unroll
    for (float& v : x) {
      const float factor = __fdividef(1.0f, __expf(steepness * v) + 1.0f);
      v = activation == Activation::kSilu ? v * factor : factor;
    }
    return;
  }
  if (activation == Activation::kTanh) {
#pragma unroll
    for (float& v : x) v = 1.0f - __fdividef(2.0f, __expf(2.0f * v) + 1.0f);
    return;
  }
  // ReLU of NaN is NaN, but of minus infinity 0.
  const bool relu = activation == Activation::kRelu;
  const float factor = relu ? 0.0f : alpha, least = relu ? -FLT_MAX : -CUDART_INF_F;
#pragma unroll
  for (float& v : x) v = v > 0.0f ? v : max_or_nan(v, least) * factor;
}

// Bias, quick activation, scale and shift of eight neighbouring channels from `c` on (a multiple of 8).
__device__ inline void finish_run(const DeviceEpilogue& e, int c, float (&x)[8]) {
  float v[8], shift[8];
  load8(e.bias, c, v);
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] += v[i];
  activate_run(x, e.activation, e.alpha, e.beta);
  if (e.scale != nullptr) {
    load8(e.scale, c, v);
    load8(e.shift, c, shift);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = fmaf(x[i], v[i], shift[i]);
  }
}

// Finishes channel `c` of pixel `pixel` (y * w + x) of an image and writes it.
__device__ inline void finish(const DeviceEpilogue& e, const Operand& out, int64_t image,
                              int64_t pixel, int c, float sum) {
  float x = sum;
  if (e.bias != nullptr) x += e.bias[c];
  float other = 0.0f;
  if (e.other.data != nullptr) {
    other = load(e.other, image * e.other.image_stride + pixel * e.other.pixel_stride +
                              (e.one_channel ? 0 : c));
    if (!e.after_activation) x = combine(e.combine, x, other);
  }
  x = activate_any(e, c, x);
  if (e.other.data != nullptr && e.after_activation) x = combine(e.combine, x, other);
  if (e.scale != nullptr) x = fmaf(x, e.scale[c], e.shift[c]);
  store(out, image * out.image_stride + pixel * out.pixel_stride + c, x);
}

}  // namespace facegen::cuda
