// Norms. Statistics are in double, added up in an order that depends on the layer alone.
#include "cuda/generic/norms.h"

#include "cuda/generic/elements.cuh"
#include "cuda/runtime/error.h"

namespace facegen::cuda {
namespace {

// A block an image and 32 channels: lanes have channels, warps have pixels. Mean and biased
// variance in double; every warp sums its pixels in order, warps are added in order: the same bits
// at any batch.
constexpr int kNormWarps = 32;

__global__ void __launch_bounds__(32 * kNormWarps)
    instance_norm_kernel(const __grid_constant__ Arguments args, const float* __restrict__ gamma,
                         float eps) {
  __shared__ double parts[kNormWarps][32];
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const int groups = (args.in.c + 31) / 32;
  const int64_t image = blockIdx.x / static_cast<unsigned>(groups);
  const int c = static_cast<int>(blockIdx.x % static_cast<unsigned>(groups)) * 32 + lane;
  const bool mine = c < args.in.c;
  const int64_t pixels = int64_t{args.in.h} * args.in.w;
  const auto value = [&](int64_t pixel) {
    return load(args.in, image * args.in.image_stride + pixel * args.in.pixel_stride + c);
  };
  const auto add_up = [&](double part) {
    parts[warp][lane] = part;
    __syncthreads();
    double total = 0.0;
    for (int w = 0; w < kNormWarps; ++w) total += parts[w][lane];
    __syncthreads();
    return total / static_cast<double>(pixels);
  };
  double part = 0.0;
  for (int64_t p = warp; mine && p < pixels; p += kNormWarps) part += value(p);
  const double mean = add_up(part);
  part = 0.0;
  for (int64_t p = warp; mine && p < pixels; p += kNormWarps) {
    const double d = value(p) - mean;
    part += d * d;
  }
  const double variance = add_up(part);
  if (!mine) return;
  const float scale = static_cast<float>(gamma[c] / sqrt(variance + static_cast<double>(eps)));
  const float centre = static_cast<float>(mean);
  for (int64_t p = warp; p < pixels; p += kNormWarps) {
    finish(args.epilogue, args.out, image, p, c, (value(p) - centre) * scale);
  }
}

// A block an image and group: its threads share the numbers of a map's group, then add up their sums as
// a tree.
__global__ void __launch_bounds__(kThreads)
    group_norm_kernel(const __grid_constant__ Arguments args, const float* __restrict__ gamma,
                      float eps, int groups) {
  __shared__ double parts[kThreads];
  const auto thread = static_cast<int>(threadIdx.x);
  const int64_t image = blockIdx.x / static_cast<unsigned>(groups);
  const int members = args.in.c / groups;
  const int first = static_cast<int>(blockIdx.x % static_cast<unsigned>(groups)) * members;
  const int64_t count = int64_t{args.in.h} * args.in.w * members;
  const auto value = [&](int64_t i) {
    return load(args.in, image * args.in.image_stride + i / members * args.in.pixel_stride + first +
                             i % members);
  };
  const auto mean_of = [&](double part) {
    parts[thread] = part;
    for (int step = kThreads / 2; step > 0; step /= 2) {
      __syncthreads();
      if (thread < step) parts[thread] += parts[thread + step];
    }
    __syncthreads();
    const double mean = parts[0] / static_cast<double>(count);
    __syncthreads();
    return mean;
  };
  double part = 0.0;
  for (int64_t i = thread; i < count; i += kThreads) part += value(i);
  const double mean = mean_of(part);
  part = 0.0;
  for (int64_t i = thread; i < count; i += kThreads) {
    const double d = value(i) - mean;
    part += d * d;
  }
  const double deviation = sqrt(mean_of(part) + static_cast<double>(eps));
  const float centre = static_cast<float>(mean);
  for (int64_t i = thread; i < count; i += kThreads) {
    const int c = first + static_cast<int>(i % members);
    const float scale = static_cast<float>(gamma[c] / deviation);
    finish(args.epilogue, args.out, image, i / members, c, (value(i) - centre) * scale);
  }
}

// A warp a pixel.
__global__ void __launch_bounds__(kThreads)
    layer_norm_kernel(const __grid_constant__ Arguments args, const float* __restrict__ gamma,
                      float eps) {
  const int64_t warp = global_thread() / 32;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t map = int64_t{args.in.h} * args.in.w;
  if (warp >= args.images * map) return;
  const int64_t image = warp / map, pixel = warp % map;
  const int64_t in = image * args.in.image_stride + pixel * args.in.pixel_stride;
  const auto mean_of = [&](double sum) {
    for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(~0u, sum, step);
    return sum / static_cast<double>(args.in.c);
  };
  double sum = 0.0;
  for (int c = lane; c < args.in.c; c += 32) sum += load(args.in, in + c);
  const double mean = mean_of(sum);
  sum = 0.0;
  for (int c = lane; c < args.in.c; c += 32) {
    const double d = load(args.in, in + c) - mean;
    sum += d * d;
  }
  const float scale = static_cast<float>(1.0 / sqrt(mean_of(sum) + static_cast<double>(eps)));
  const float centre = static_cast<float>(mean);
  for (int c = lane; c < args.in.c; c += 32) {
    const float x = (load(args.in, in + c) - centre) * scale * gamma[c];
    finish(args.epilogue, args.out, image, pixel, c, x);
  }
}

__global__ void __launch_bounds__(kThreads)
    response_norm_kernel(const __grid_constant__ Arguments args, Lrn lrn) {
  const Element e = find_element(args.out, args.images);
  if (e.image < 0) return;
  const int first = max(e.c - (lrn.size - 1) / 2, 0);
  const int last = static_cast<int>(min(int64_t{e.c} + lrn.size / 2, int64_t{args.in.c} - 1));
  float sum = 0.0f;
  for (int c = first; c <= last; ++c) {
    const float x = load_at(args.in, e.image, e.y, e.x, c);
    sum = fmaf(x, x, sum);
  }
  const float base = fmaf(lrn.alpha / static_cast<float>(lrn.size), sum, lrn.k);
  const float x = load_at(args.in, e.image, e.y, e.x, e.c) * powf(base, -lrn.beta);
  finish(args.epilogue, args.out, e.image, e.pixel, e.c, x);
}

}  // namespace

void instance_norm(const StepCall& call) {
  const unsigned blocks =
      static_cast<unsigned>(call.images) * count_blocks(call.step.out.c, 32);
  // The epilogue's bias is beta.
  instance_norm_kernel<<<blocks, dim3(32, kNormWarps), 0, call.stream>>>(
      make_arguments(call), call.step.weight, call.step.eps);
  FACEGEN_CUDA_CHECK_LAUNCH("instance_norm_kernel");
}

void group_norm(const StepCall& call) {
  const auto blocks = static_cast<unsigned>(call.images * call.step.groups);
  group_norm_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call), call.step.weight,
                                                          call.step.eps, call.step.groups);
  FACEGEN_CUDA_CHECK_LAUNCH("group_norm_kernel");
}

void layer_norm(const StepCall& call) {
  const int64_t pixels = call.images * call.step.out.h * call.step.out.w;
  layer_norm_kernel<<<count_blocks(pixels, kThreads / 32), kThreads, 0, call.stream>>>(
      make_arguments(call), call.step.weight, call.step.eps);
  FACEGEN_CUDA_CHECK_LAUNCH("layer_norm_kernel");
}

void response_norm(const StepCall& call) {
  const unsigned blocks = count_blocks(output_elements(call), kThreads);
  response_norm_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call), call.step.lrn);
  FACEGEN_CUDA_CHECK_LAUNCH("response_norm_kernel");
}

}  // namespace facegen::cuda
