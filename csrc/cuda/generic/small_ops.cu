// The steps that are not a GEMM. All are bound by memory: neighbouring threads have neighbouring
// channels, so that every warp reads and writes whole lines.
#include "cuda/generic/elements.cuh"
#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

__global__ void __launch_bounds__(kThreads)
    max_pool_kernel(const __grid_constant__ Arguments args, Window pool) {
  const Element e = find_element(args.out, args.images);
  if (e.image < 0) return;
  const int y0 = e.y * pool.stride_h - pool.pad_top, x0 = e.x * pool.stride_w - pool.pad_left;
  float best = -INFINITY;
  for (int y = max(y0, 0); y < min(y0 + pool.kernel_h, args.in.h); ++y) {
    for (int x = max(x0, 0); x < min(x0 + pool.kernel_w, args.in.w); ++x) {
      const float value = load_at(args.in, e.image, y, x, e.c);
      if (value > best || value != value) best = value;  // NaN wins, and stays
    }
  }
  finish(args.epilogue, args.out, e.image, e.pixel, e.c, best);
}

// Eight channels a thread.
__global__ void __launch_bounds__(kThreads)
    max_pool_run_kernel(const __grid_constant__ Arguments args, Window pool) {
  const Element e = find_element(args.out, args.images, 8);
  if (e.image < 0) return;
  const int y0 = e.y * pool.stride_h - pool.pad_top, x0 = e.x * pool.stride_w - pool.pad_left;
  const int y_end = min(y0 + pool.kernel_h, args.in.h), x_end = min(x0 + pool.kernel_w, args.in.w);
  float best[8];
#pragma unroll
  for (float& b : best) b = -INFINITY;
  for (int y = max(y0, 0); y < y_end; ++y) {
    const int64_t row = e.image * args.in.image_stride + int64_t{y} * args.in.w * args.in.pixel_stride + e.c;
#pragma unroll 3
    for (int x = max(x0, 0); x < x_end; ++x) {
      float value[8];
      load_run(args.in, row + x * args.in.pixel_stride, value);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        if (value[i] > best[i] || value[i] != value[i]) best[i] = value[i];
      }
    }
  }
  finish_run(args.epilogue, e.c, best);
  store_run(args.out, e.image * args.out.image_stride + e.pixel * args.out.pixel_stride + e.c, best);
}

__global__ void __launch_bounds__(kThreads)
    pointwise_kernel(const __grid_constant__ Arguments args) {
  const Element e = find_element(args.out, args.images);
  if (e.image < 0) return;
  float x = 0.0f;  // without an input
  if (args.in.data != nullptr) {
    x = load(args.in, e.image * args.in.image_stride + e.pixel * args.in.pixel_stride + e.c);
  }
  finish(args.epilogue, args.out, e.image, e.pixel, e.c, x);
}

// Eight channels a thread.
__global__ void __launch_bounds__(kThreads)
    pointwise_run_kernel(const __grid_constant__ Arguments args) {
  const Element e = find_element(args.out, args.images, 8);
  if (e.image < 0) return;
  float x[8];
  const bool reads = args.in.data != nullptr;
  load_run(args.in,
           reads ? e.image * args.in.image_stride + e.pixel * args.in.pixel_stride + e.c : -1, x);
  finish_eight(args.epilogue, args.out, e.image, e.pixel, e.c, x);
}

__global__ void __launch_bounds__(kThreads)
    rearrange_kernel(const __grid_constant__ Arguments args, int block, bool depth_first, bool grows) {
  const Element e = find_element(args.out, args.images);
  if (e.image < 0) return;
  const int area = block * block;
  float x;
  if (grows) {
    const int place = e.y % block * block + e.x % block;
    const int c = depth_first ? place * args.out.c + e.c : e.c * area + place;
    x = load_at(args.in, e.image, e.y / block, e.x / block, c);
  } else {
    const int place = depth_first ? e.c / args.in.c : e.c % area;
    const int c = depth_first ? e.c % args.in.c : e.c / area;
    x = load_at(args.in, e.image, e.y * block + place / block, e.x * block + place % block, c);
  }
  store(args.out, e.image * args.out.image_stride + e.pixel * args.out.pixel_stride + e.c, x);
}

__global__ void __launch_bounds__(kThreads)
    shuffle_kernel(const __grid_constant__ Arguments args, int groups) {
  const Element e = find_element(args.out, args.images);
  if (e.image < 0) return;
  const int from = e.c % groups * (args.out.c / groups) + e.c / groups;
  const float x = load_at(args.in, e.image, e.y, e.x, from);
  store(args.out, e.image * args.out.image_stride + e.pixel * args.out.pixel_stride + e.c, x);
}

// A warp a pixel. Every lane sums its channels in order, then lanes are added as a tree.
__global__ void __launch_bounds__(kThreads) softmax_kernel(const __grid_constant__ Arguments args, bool log_of) {
  const int64_t warp = global_thread() / 32;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t map = int64_t{args.in.h} * args.in.w;
  if (warp >= args.images * map) return;
  const int64_t image = warp / map, pixel = warp % map;
  const int64_t in = image * args.in.image_stride + pixel * args.in.pixel_stride;
  const int64_t out = image * args.out.image_stride + pixel * args.out.pixel_stride;
  float largest = -INFINITY;
  for (int c = lane; c < args.in.c; c += 32) largest = fmaxf(largest, load(args.in, in + c));
  for (int step = 16; step > 0; step /= 2) {
    largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
  }
  float sum = 0.0f;
  for (int c = lane; c < args.in.c; c += 32) sum += expf(load(args.in, in + c) - largest);
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
  for (int c = lane; c < args.in.c; c += 32) {
    const float x = load(args.in, in + c) - largest;
    store(args.out, out + c, log_of ? x - logf(sum) : expf(x) / sum);
  }
}

}  // namespace

void max_pool(const StepCall& call) {
  if (in_runs(call.step.in, call.operands.in) && in_runs(call.step.out, call.operands.out) &&
      call.step.epilogue.other.buffer < 0 && is_quick(call.step.epilogue.activation)) {
    const unsigned runs = count_blocks(output_elements(call) / 8, kThreads);
    max_pool_run_kernel<<<runs, kThreads, 0, call.stream>>>(make_arguments(call), call.step.window);
    FACEGEN_CUDA_CHECK_LAUNCH("max_pool_run_kernel");
    return;
  }
  const unsigned blocks = count_blocks(output_elements(call), kThreads);
  max_pool_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call), call.step.window);
  FACEGEN_CUDA_CHECK_LAUNCH("max_pool_kernel");
}

void softmax(const StepCall& call) {
  const int64_t pixels = call.images * call.step.out.h * call.step.out.w;
  softmax_kernel<<<count_blocks(pixels, kThreads / 32), kThreads, 0, call.stream>>>(
      make_arguments(call), call.step.log);
  FACEGEN_CUDA_CHECK_LAUNCH("softmax_kernel");
}

void rearrange(const StepCall& call) {
  const View &in = call.step.in, &out = call.step.out;
  const unsigned blocks = count_blocks(output_elements(call), kThreads);
  rearrange_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call), call.step.block,
                                                         call.step.depth_first,
                                                         out.h > in.h || out.w > in.w);
  FACEGEN_CUDA_CHECK_LAUNCH("rearrange_kernel");
}

void shuffle(const StepCall& call) {
  const unsigned blocks = count_blocks(output_elements(call), kThreads);
  shuffle_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call), call.step.groups);
  FACEGEN_CUDA_CHECK_LAUNCH("shuffle_kernel");
}

void pointwise(const StepCall& call) {
  if (takes_runs(call)) {
    const unsigned runs = count_blocks(output_elements(call) / 8, kThreads);
    pointwise_run_kernel<<<runs, kThreads, 0, call.stream>>>(make_arguments(call));
    FACEGEN_CUDA_CHECK_LAUNCH("pointwise_run_kernel");
    return;
  }
  const unsigned blocks = count_blocks(output_elements(call), kThreads);
  pointwise_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call));
  FACEGEN_CUDA_CHECK_LAUNCH("pointwise_kernel");
}

}  // namespace facegen::cuda
