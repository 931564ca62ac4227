// Reading and writing single activations in any format, and the epilogue that every step ends with.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "cuda/tensor.h"
#include "program.h"

namespace facegen::cuda {

// A view's images as a kernel argument; pixel (y, x) of an image starts at element
// image * image_stride + (y * w + x) * pixel_stride.
struct Operand {
  char* data;
  int64_t image_stride, pixel_stride, plane;
  int32_t h, w, c;
  Format format;
};

inline Operand make_operand(const View& view, const Images& images) {
  return {static_cast<char*>(images.data), images.image_stride, view.pixel_stride, images.plane,
          view.h, view.w, view.c, images.format};
}

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

// y = scale[c] * activation(sum + bias[c] + add) + shift[c] as a kernel argument.
struct DeviceEpilogue {
  const float *bias, *scale, *shift;
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

// Finishes channel `c` of pixel `pixel` (y * w + x) of an image and writes it.
__device__ inline void finish(const DeviceEpilogue& e, const Operand& out, int64_t image,
                              int64_t pixel, int c, float sum) {
  float x = sum;
  if (e.bias != nullptr) x += e.bias[c];
  if (e.add.data != nullptr) {
    x += load(e.add, image * e.add.image_stride + pixel * e.add.pixel_stride + c);
  }
  x = activate(x, e.activation, e.slope);
  if (e.scale != nullptr) x *= e.scale[c];
  if (e.shift != nullptr) x += e.shift[c];
  store(out, image * out.image_stride + pixel * out.pixel_stride + c, x);
}

}  // namespace facegen::cuda
