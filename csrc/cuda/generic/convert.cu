// Neighbouring threads have neighbouring elements of the caller's array, be they channels or, where
// each channel is a plane (NCHW), pixels of a row.
//
// Pixels are converted in the very float32 operations of facegen.numbers.pixels, so that results have
// its bytes: no product is fused with a sum, and no division is a product.
#include "cuda/generic/convert.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>

#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

constexpr int kThreads = 256;

struct Arguments {
  CallerArray array;
  float* floats;
  int64_t count;  // elements
};

__device__ inline float as_float(const CallerArray& array, int64_t at) {
  switch (array.element) {
    case Element::kFloat32: return static_cast<const float*>(array.data)[at];
    case Element::kFloat16: return __half2float(static_cast<const __half*>(array.data)[at]);
    case Element::kBfloat16:
      return __bfloat162float(static_cast<const __nv_bfloat16*>(array.data)[at]);
    case Element::kUint8: break;
    case Element::kPixels: {
      const float value = static_cast<const uint8_t*>(array.data)[at];
      return __fsub_rn(__fmul_rn(__fdiv_rn(value, 255.0f), 2.0f), 1.0f);
    }
  }
  return static_cast<const uint8_t*>(array.data)[at];
}

__device__ inline void put(const CallerArray& array, int64_t at, float x) {
  switch (array.element) {
    case Element::kFloat32: static_cast<float*>(array.data)[at] = x; return;
    case Element::kFloat16: static_cast<__half*>(array.data)[at] = __float2half_rn(x); return;
    case Element::kBfloat16:
      static_cast<__nv_bfloat16*>(array.data)[at] = __float2bfloat16_rn(x);
      return;
    case Element::kUint8: break;
    case Element::kPixels: x = __fmul_rn(__fdiv_rn(__fadd_rn(x, 1.0f), 2.0f), 255.0f); break;
  }
  // fmaxf and fminf drop NaN.
  static_cast<uint8_t*>(array.data)[at] = static_cast<uint8_t>(fminf(fmaxf(x, 0.0f), 255.0f));
}

// kPlanes: threads run along x, then y, then c.
template <bool kReads, bool kPlanes>
__global__ void __launch_bounds__(kThreads) convert(const __grid_constant__ Arguments args) {
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  const int64_t* strides = args.array.strides;
  const uint32_t h = args.array.h, w = args.array.w, channels = args.array.c;
  const int64_t of_image = int64_t{h} * w * channels;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < args.count; i += stride) {
    const int64_t n = i / of_image;
    const auto rest = static_cast<uint32_t>(i - n * of_image);
    uint32_t y, x, c;
    if constexpr (kPlanes) {
      x = rest % w;
      y = rest / w % h;
      c = rest / w / h;
    } else {
      c = rest % channels;
      x = rest / channels % w;
      y = rest / channels / w;
    }
    const int64_t at = n * strides[0] + y * strides[1] + x * strides[2] + c * strides[3];
    float& value = args.floats[n * of_image + (int64_t{y} * w + x) * channels + c];
    if constexpr (kReads) {
      value = as_float(args.array, at);
    } else {
      put(args.array, at, value);
    }
  }
}

template <bool kReads>
void launch(const CallerArray& array, int64_t images, float* floats, cudaStream_t stream) {
  const Arguments args = {array, floats, images * array.image_values()};
  constexpr int64_t kMostBlocks = 1 << 16;
  const auto blocks = static_cast<unsigned>(std::min(divide_up(args.count, kThreads), kMostBlocks));
  const bool planes = array.c > 1 && array.strides[3] != 1;
  const auto kernel = planes ? convert<kReads, true> : convert<kReads, false>;
  kernel<<<blocks, kThreads, 0, stream>>>(args);
  FACEGEN_CUDA_CHECK_LAUNCH("convert");
}

}  // namespace

void read_array(const CallerArray& array, int64_t images, float* floats, cudaStream_t stream) {
  launch<true>(array, images, floats, stream);
}

void write_array(const CallerArray& array, int64_t images, const float* floats,
                 cudaStream_t stream) {
  launch<false>(array, images, const_cast<float*>(floats), stream);
}

}  // namespace facegen::cuda
