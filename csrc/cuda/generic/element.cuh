// Reading and writing single activations in any format, and the epilogue that every step ends with.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "cuda/operand.h"
#include "program.h"

namespace facegen::cuda {

// float32 = hi + lo + at most 2^-17 of it.
__device__ inline void split(float x, __nv_bfloat16& hi, __nv_bfloat16& lo) {
  hi = __float2bfloat16_rn(x);
  lo = __float2bfloat16_rn(x - __bfloat162float(hi));
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

// Eight neighbouring elements in any format as float32; zeros where start < 0.
__device__ inline void load_run(const Operand& in, int64_t start, float (&x)[8]) {
  if (start < 0) {
#pragma unroll
    for (float& value : x) value = 0.0f;
    return;
  }
  if (in.format == Format::kFloat32) {
    const auto* from = reinterpret_cast<const float4*>(reinterpret_cast<const float*>(in.data) + start);
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const float4 v = from[i];
      x[4 * i] = v.x, x[4 * i + 1] = v.y, x[4 * i + 2] = v.z, x[4 * i + 3] = v.w;
    }
    return;
  }
  const auto* from = reinterpret_cast<const uint4*>(in.data + 2 * start);
  const uint4 first = from[0];
  if (in.format == Format::kHalf) {
    const auto* h = reinterpret_cast<const __half2*>(&first);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      x[2 * i] = __low2float(h[i]);
      x[2 * i + 1] = __high2float(h[i]);
    }
    return;
  }
  const uint4 second = from[in.plane / 8];
  const auto* hi = reinterpret_cast<const __nv_bfloat162*>(&first);
  const auto* lo = reinterpret_cast<const __nv_bfloat162*>(&second);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = __low2float(hi[i]) + __low2float(lo[i]);
    x[2 * i + 1] = __high2float(hi[i]) + __high2float(lo[i]);
  }
}

// Writes eight neighbouring elements; all addresses are multiples of 8 elements.
__device__ inline void store_run(const Operand& to, int64_t start, const float (&x)[8]) {
  if (to.format == Format::kFloat32) {
    auto* floats = reinterpret_cast<float4*>(reinterpret_cast<float*>(to.data) + start);
    floats[0] = make_float4(x[0], x[1], x[2], x[3]);
    floats[1] = make_float4(x[4], x[5], x[6], x[7]);
    return;
  }
  uint4 first, second;
  if (to.format == Format::kHalf) {
    auto* h = reinterpret_cast<__half2*>(&first);
#pragma unroll
    for (int i = 0; i < 4; ++i) h[i] = __floats2half2_rn(x[2 * i], x[2 * i + 1]);
    *reinterpret_cast<uint4*>(to.data + 2 * start) = first;
    return;
  }
  auto* hi = reinterpret_cast<__nv_bfloat162*>(&first);
  auto* lo = reinterpret_cast<__nv_bfloat162*>(&second);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    hi[i] = __floats2bfloat162_rn(x[2 * i], x[2 * i + 1]);
    lo[i] = __floats2bfloat162_rn(x[2 * i] - __low2float(hi[i]), x[2 * i + 1] - __high2float(hi[i]));
  }
  auto* planes = reinterpret_cast<uint4*>(to.data + 2 * start);
  planes[0] = first;
  planes[to.plane / 8] = second;
}

// y = scale[c] * activation(sum + bias[c] + add) + shift[c] as a kernel argument.
struct DeviceEpilogue {
  const float *bias, *scale, *shift;  // scale and shift: both or neither
  Operand add;  // data is null where there is none
  Activation activation;
  float slope;
};

inline DeviceEpilogue make_epilogue(const Step& step, const Images& add) {
  const Epilogue& e = step.epilogue;
  return {step.bias, e.scale, e.shift, make_operand(e.add, add), e.activation, e.slope};
}

// NaN passes every activation.
__device__ inline float activate(float x, Activation activation, float slope) {
  switch (activation) {
    case Activation::kNone: return x;
    case Activation::kRelu: return x < 0.0f ? 0.0f : x;
    case Activation::kLeakyRelu: return x < 0.0f ? x * slope : x;
    case Activation::kTanh: return tanhf(x);
  }
  return x;
}

// tanh within 2e-7, in few instructions: unrolled epilogues run at the speed of the instruction
// cache.
__device__ __forceinline__ float short_tanh(float v) {
  return 1.0f - __fdividef(2.0f, __expf(2.0f * v) + 1.0f);
}

__device__ __forceinline__ float activate_short(float x, Activation activation, float slope) {
  if (activation == Activation::kNone) return x;
  if (activation == Activation::kTanh) return short_tanh(x);
  return x < 0.0f ? (activation == Activation::kRelu ? 0.0f : x * slope) : x;
}

__device__ __forceinline__ void activate_run(float (&x)[8], Activation activation, float slope) {
  if (activation == Activation::kNone) return;
#pragma unroll
  for (float& value : x) value = activate_short(value, activation, slope);
}

// Bias, activation, scale and shift of eight neighbouring channels from `c` on (a multiple of 8).
__device__ inline void finish_run(const DeviceEpilogue& e, int c, float (&x)[8]) {
  const auto constants = [c](const float* from, float (&v)[8]) {
    const float4 a = __ldg(reinterpret_cast<const float4*>(from + c));
    const float4 b = __ldg(reinterpret_cast<const float4*>(from + c) + 1);
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
  };
  float v[8];
  if (e.bias != nullptr) {
    constants(e.bias, v);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] += v[i];
  }
  activate_run(x, e.activation, e.slope);
  if (e.scale != nullptr) {
    float shift[8];
    constants(e.scale, v);
    constants(e.shift, shift);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = fmaf(x[i], v[i], shift[i]);
  }
}

// Finishes channel `c` of pixel `pixel` (y * w + x) of an image and writes it.
__device__ inline void finish(const DeviceEpilogue& e, const Operand& out, int64_t image,
                              int64_t pixel, int c, float sum) {
  float x = sum;
  if (e.bias != nullptr) x += e.bias[c];
  if (e.add.data != nullptr) {
    x += load(e.add, image * e.add.image_stride + pixel * e.add.pixel_stride + c);
  }
  x = activate(x, e.activation, e.slope);
  if (e.scale != nullptr) x = fmaf(x, e.scale[c], e.shift[c]);
  store(out, image * out.image_stride + pixel * out.pixel_stride + c, x);
}

}  // namespace facegen::cuda
