// Depthwise convolution. It is bound by memory: neighbouring threads have neighbouring channels, eight
// each where they are aligned, and four neighbouring outputs, so that an input is loaded once a row of
// taps for all of them. Rows above and below are found in the caches. Sums are float32, over the taps
// in order.
#include "cuda/generic/depthwise.h"

#include "cuda/generic/elements.cuh"
#include "cuda/runtime/error.h"

namespace facegen::cuda {
namespace {

constexpr int kOutputs = 4;  // of a thread

struct Place {
  int64_t image;  // or -1: past the end
  int32_t y, x, c;
};

// The first output of a thread.
__device__ inline Place find_place(const Operand& out, int64_t images) {
  const auto runs = static_cast<uint32_t>(out.c / 8);
  const auto columns = static_cast<uint32_t>((out.w + kOutputs - 1) / kOutputs);
  const int64_t i = global_thread(), row = i / runs / columns;
  Place place;
  place.image = row / out.h;
  if (place.image >= images) place.image = -1;
  place.y = static_cast<int32_t>(row % out.h);
  place.x = static_cast<int32_t>(i / runs % columns) * kOutputs;
  place.c = static_cast<int32_t>(i % runs) * 8;
  return place;
}

// kKernel taps in a row of stride kStride and dilation 1; or any where kKernel is 0.
template <int kKernel, int kStride>
__global__ void __launch_bounds__(kThreads)
    depthwise_run_kernel(const __grid_constant__ Arguments args, Window window,
                         const float* __restrict__ weights) {
  const Place place = find_place(args.out, args.images);
  if (place.image < 0) return;
  const Operand& in = args.in;
  float sum[kOutputs][8] = {};
  const int y0 = place.y * window.stride_h - window.pad_top;
  for (int ky = 0; ky < window.kernel_h; ++ky) {
    const int y = y0 + ky * window.dilation_h;
    if (y < 0 || y >= in.h) continue;
    const int64_t row = place.image * in.image_stride + int64_t{y} * in.w * in.pixel_stride + place.c;
    const float* row_weights = weights + int64_t{ky} * window.kernel_w * in.c;
    const auto load_pixel = [&](int x, float (&value)[8]) {
      load_run(in, x >= 0 && x < in.w ? row + x * in.pixel_stride : -1, value);
    };
    if constexpr (kKernel > 0) {
      float weight[kKernel][8];
#pragma unroll
      for (int k = 0; k < kKernel; ++k) load8(row_weights + int64_t{k} * in.c, place.c, weight[k]);
#pragma unroll
      for (int j = 0; j < (kOutputs - 1) * kStride + kKernel; ++j) {
        float value[8];
        load_pixel(place.x * kStride - window.pad_left + j, value);
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
          const int k = j - o * kStride;
          if (k < 0 || k >= kKernel) continue;
#pragma unroll
          for (int i = 0; i < 8; ++i) sum[o][i] = fmaf(weight[k][i], value[i], sum[o][i]);
        }
      }
    } else {
      for (int k = 0; k < window.kernel_w; ++k) {
        float weight[8], value[8];
        load8(row_weights + int64_t{k} * in.c, place.c, weight);
#pragma unroll
        for (int o = 0; o < kOutputs; ++o) {
          load_pixel((place.x + o) * window.stride_w - window.pad_left + k * window.dilation_w, value);
#pragma unroll
          for (int i = 0; i < 8; ++i) sum[o][i] = fmaf(weight[i], value[i], sum[o][i]);
        }
      }
    }
  }
#pragma unroll
  for (int o = 0; o < kOutputs; ++o) {
    if (place.x + o >= args.out.w) break;
    const int64_t pixel = int64_t{place.y} * args.out.w + place.x + o;
    finish_eight(args.epilogue, args.out, place.image, pixel, place.c, sum[o]);
  }
}

// Any channels.
__global__ void __launch_bounds__(kThreads)
    depthwise_kernel(const __grid_constant__ Arguments args, Window window,
                     const float* __restrict__ weights) {
  const Element e = find_element(args.out, args.images);
  if (e.image < 0) return;
  const int y0 = e.y * window.stride_h - window.pad_top, x0 = e.x * window.stride_w - window.pad_left;
  float sum = 0.0f;
  for (int ky = 0; ky < window.kernel_h; ++ky) {
    const int y = y0 + ky * window.dilation_h;
    if (y < 0 || y >= args.in.h) continue;
    for (int kx = 0; kx < window.kernel_w; ++kx) {
      const int x = x0 + kx * window.dilation_w;
      if (x < 0 || x >= args.in.w) continue;
      const float weight = weights[(int64_t{ky} * window.kernel_w + kx) * args.in.c + e.c];
      sum = fmaf(weight, load_at(args.in, e.image, y, x, e.c), sum);
    }
  }
  finish(args.epilogue, args.out, e.image, e.pixel, e.c, sum);
}

using RunKernel = void (*)(Arguments, Window, const float*);

RunKernel find_run_kernel(const Window& w) {
  if (w.dilation_w == 1 && w.kernel_w == 3 && w.stride_w == 1) return depthwise_run_kernel<3, 1>;
  if (w.dilation_w == 1 && w.kernel_w == 3 && w.stride_w == 2) return depthwise_run_kernel<3, 2>;
  if (w.dilation_w == 1 && w.kernel_w == 5 && w.stride_w == 1) return depthwise_run_kernel<5, 1>;
  if (w.dilation_w == 1 && w.kernel_w == 5 && w.stride_w == 2) return depthwise_run_kernel<5, 2>;
  return depthwise_run_kernel<0, 0>;
}

}  // namespace

void depthwise(const StepCall& call) {
  const Step& step = call.step;
  if (takes_runs(call)) {
    const int64_t columns = divide_up(step.out.w, kOutputs);
    const unsigned blocks =
        count_blocks(call.images * step.out.h * columns * (step.out.c / 8), kThreads);
    find_run_kernel(step.window)<<<blocks, kThreads, 0, call.stream>>>(
        make_arguments(call), step.window, step.weight);
    FACEGEN_CUDA_CHECK_LAUNCH("depthwise_run_kernel");
    return;
  }
  const unsigned blocks = count_blocks(output_elements(call), kThreads);
  depthwise_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call), step.window,
                                                         step.weight);
  FACEGEN_CUDA_CHECK_LAUNCH("depthwise_kernel");
}

}  // namespace facegen::cuda
