#include "cuda/generic/reductions.h"

#include "cuda/generic/element.cuh"
#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

constexpr int kThreads = 256;

// A thread a pixel: a warp's 32 pixels are one run of memory, which its loads find in L1. The
// lowest index of the largest channel; the first NaN counts as the largest, as in NumPy.
__global__ void __launch_bounds__(kThreads)
    arg_max_kernel(const __grid_constant__ Operand in, const __grid_constant__ Operand out,
                   int64_t images) {
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t map = int64_t{in.h} * in.w;
  if (thread >= images * map) return;
  const int64_t image = thread / map, pixel = thread % map;
  const int64_t from = image * in.image_stride + pixel * in.pixel_stride;
  float best = load(in, from);
  int index = 0;
  for (int c = 1; c < in.c; ++c) {
    const float x = load(in, from + c);
    if (x > best || (isnan(x) && !isnan(best))) {
      best = x;
      index = c;
    }
  }
  store(out, image * out.image_stride + pixel * out.pixel_stride, static_cast<float>(index));
}

// A block an image and 32 channels: lanes have channels, warps have pixels. Sums in double; every
// warp sums its pixels in order, warps are added in order: the same bits at any batch.
constexpr int kPoolWarps = 8;

__global__ void __launch_bounds__(32 * kPoolWarps)
    global_avg_pool_kernel(const __grid_constant__ Operand in, const __grid_constant__ Operand out) {
  __shared__ double parts[kPoolWarps][32];
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int groups = (in.c + 31) / 32;
  const int64_t image = blockIdx.x / static_cast<unsigned>(groups);
  const int c = static_cast<int>(blockIdx.x % static_cast<unsigned>(groups)) * 32 + lane;
  const int64_t pixels = int64_t{in.h} * in.w;
  double part = 0.0;
  for (int64_t p = warp; c < in.c && p < pixels; p += kPoolWarps) {
    part += load(in, image * in.image_stride + p * in.pixel_stride + c);
  }
  parts[warp][lane] = part;
  __syncthreads();
  if (warp > 0 || c >= in.c) return;
  double sum = 0.0;
  for (int w = 0; w < kPoolWarps; ++w) sum += parts[w][lane];
  store(out, image * out.image_stride + c, static_cast<float>(sum / static_cast<double>(pixels)));
}

}  // namespace

void arg_max(const StepCall& call) {
  const View& in = call.step.in;
  const int64_t pixels = call.images * in.h * in.w;
  const auto blocks = static_cast<unsigned>(divide_up(pixels, kThreads));
  arg_max_kernel<<<blocks, kThreads, 0, call.stream>>>(
      make_operand(in, call.operands.in), make_operand(call.step.out, call.operands.out), call.images);
  FACEGEN_CUDA_CHECK_LAUNCH("arg_max_kernel");
}

void global_avg_pool(const StepCall& call) {
  const View& in = call.step.in;
  const auto blocks = static_cast<unsigned>(call.images * ((in.c + 31) / 32));
  global_avg_pool_kernel<<<blocks, dim3(32, kPoolWarps), 0, call.stream>>>(
      make_operand(in, call.operands.in), make_operand(call.step.out, call.operands.out));
  FACEGEN_CUDA_CHECK_LAUNCH("global_avg_pool_kernel");
}

}  // namespace facegen::cuda
