// y = gamma (x - mean) / sqrt(variance + eps) + beta, mean and biased variance of each channel over
// the pixels of one image.
//
// Memory is read once: a cluster of up to 8 CTAs holds all pixels of 16 channels of an image in
// registers, up to 8 pixels of 8 channels a thread; two threads side by side write a whole sector of
// 32 bytes. Each thread sums its pixels' differences d from its first
// pixel x0, and their squares, in float32, and goes on in double:
//
//   sum x = n x0 + sum d,   sum x^2 = n x0^2 + 2 x0 sum d + sum d^2
//
// so that neither a large mean nor a constant map costs digits. Then lanes, warps and CTAs are
// added, always in the same order: which pixels a thread has depends on the layer alone, and so do
// the bits.
#include "cuda/hopper_norm.h"

#include <cooperative_groups.h>

#include <algorithm>

#include "cuda/element.cuh"
#include "cuda/error.h"
#include "cuda/hopper_launch.h"
#include "cuda/hopper_ptx.cuh"

namespace facegen::cuda::hopper {
namespace {

namespace cg = cooperative_groups;

constexpr int kChannels = 8;  // of a thread: one vector
constexpr int kThreadsAPixel = 2;
constexpr int kMaxThreads = 512;
constexpr int kMaxCluster = 8;
constexpr int kMaxPixels = 8;        // of a thread
constexpr int kPixelsOfACta = 512;   // more only where a cluster of 8 is too small
constexpr int kSums = 2 * kChannels;  // of x, then of x^2

// The input where it still has to be added up: (image, slice, pixel, channel) float32, and a bias.
struct Slices {
  const float* data;
  int32_t count;  // 0: the input is complete
  const float* bias;
};

struct Arguments {
  Slices slices;
  Operand in, out, copy;  // copy.data is null where there is none
  bool copy_relu;
  DeviceEpilogue epilogue;  // its bias is beta
  const float* gamma;
  float eps;
  int32_t pixels, cta_pixels, groups, ctas;  // groups: of 16 channels; ctas: of a cluster
};

// Adds up each of 16 values over the lanes with the same channels, which are every other lane;
// lane l gets the total of value l / 2.
__device__ inline double add_lanes(double (&v)[kSums], int lane) {
#pragma unroll
  for (int level = 0; level < 4; ++level) {
    const int half = kSums / 2 >> level, mask = 16 >> level;
    const bool upper = lane & mask;
#pragma unroll
    for (int j = 0; j < kSums / 2; ++j) {
      if (j >= half) break;
      const double sent = upper ? v[j] : v[j + half];
      const double kept = upper ? v[j + half] : v[j];
      v[j] = kept + __shfl_xor_sync(~0u, sent, mask);
    }
  }
  return v[0];
}

// Eight channels of a pixel: the same sum, in the same order, as add_slices makes.
__device__ inline void load_slices(const Arguments& args, int image, int pixel, int channel,
                                   float (&x)[kChannels]) {
  const int64_t slice = int64_t{args.pixels} * args.in.c;
  const float* from = args.slices.data + image * args.slices.count * slice +
                      int64_t{pixel} * args.in.c + channel;
#pragma unroll
  for (float& value : x) value = 0.0f;
  for (int s = 0; s < args.slices.count; ++s, from += slice) {
    const float4 a = reinterpret_cast<const float4*>(from)[0];
    const float4 b = reinterpret_cast<const float4*>(from)[1];
    x[0] += a.x, x[1] += a.y, x[2] += a.z, x[3] += a.w;
    x[4] += b.x, x[5] += b.y, x[6] += b.z, x[7] += b.w;
  }
  if (args.slices.bias == nullptr) return;
#pragma unroll
  for (int c = 0; c < kChannels; ++c) x[c] += __ldg(args.slices.bias + channel + c);
}

template <int kPixels>
__global__ void __launch_bounds__(kMaxThreads)
    norm_kernel(const __grid_constant__ Arguments args) {
  __shared__ double warp_sums[kMaxThreads / 32][32];
  __shared__ double cta_sums[32];  // (sum, channel of the thread, which thread of a pixel)
  __shared__ float centres[kThreadsAPixel][kChannels], factors[kThreadsAPixel][kChannels];
  const int lane = static_cast<int>(threadIdx.x % 32), half = lane % kThreadsAPixel;
  const int thread = static_cast<int>(threadIdx.x) / kThreadsAPixel;
  const int threads = static_cast<int>(blockDim.x) / kThreadsAPixel;
  const int rank = static_cast<int>(blockIdx.x) % args.ctas;
  const int unit = static_cast<int>(blockIdx.x) / args.ctas;
  const int image = unit / args.groups, channel = (unit % args.groups * kThreadsAPixel + half) * kChannels;
  const bool exists = channel < args.in.c;
  const int first = rank * args.cta_pixels;
  const int end = min(first + args.cta_pixels, args.pixels);

  ptx::wait_for_steps_before();
  float x[kPixels][kChannels];
  const int64_t start = image * args.in.image_stride + channel;
#pragma unroll
  for (int i = 0; i < kPixels; ++i) {
    const int pixel = first + i * threads + thread;
    if (args.slices.count > 0 && exists && pixel < end) {
      load_slices(args, image, pixel, channel, x[i]);
    } else {
      load_run(args.in, exists && pixel < end ? start + pixel * args.in.pixel_stride : -1, x[i]);
    }
  }
  double sums[kSums] = {};
  const int left = end - first - thread;
  const int count = left <= 0 ? 0 : min((left + threads - 1) / threads, kPixels);
  if (count > 0) {
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      float sum = 0.0f, squares = 0.0f;
#pragma unroll
      for (int i = 1; i < kPixels; ++i) {
        const float d = i < count ? x[i][c] - x[0][c] : 0.0f;
        sum += d;
        squares = fmaf(d, d, squares);
      }
      const double base = x[0][c];
      sums[c] = count * base + sum;
      sums[kChannels + c] = (count * base + 2.0 * sum) * base + squares;
    }
  }
  warp_sums[threadIdx.x / 32][lane] = add_lanes(sums, lane);
  __syncthreads();
  if (threadIdx.x < 32) {
    double sum = 0.0;
    for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += warp_sums[w][lane];
    cta_sums[lane] = sum;
  }
  const auto cluster = cg::this_cluster();
  cluster.sync();
  // Of a lane's 32 totals, the first 16 are sums of x, the others of x^2.
  if (threadIdx.x < kSums && exists) {
    double sum = 0.0, squares = 0.0;
    for (int r = 0; r < args.ctas; ++r) {
      const double* of_cta = cluster.map_shared_rank(cta_sums, r);
      sum += of_cta[lane];
      squares += of_cta[kSums + lane];
    }
    const double mean = sum / args.pixels;
    const double variance = fmax(squares / args.pixels - mean * mean, 0.0);
    const int c = lane / kThreadsAPixel;
    centres[half][c] = static_cast<float>(mean);
    factors[half][c] =
        static_cast<float>(args.gamma[channel + c] / sqrt(variance + static_cast<double>(args.eps)));
  }
  cluster.sync();  // also: no CTA leaves while others read its sums

  if (!exists) return;
#pragma unroll
  for (int i = 0; i < kPixels; ++i) {
    const int pixel = first + i * threads + thread;
    if (pixel >= end) break;
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      x[i][c] = (x[i][c] - centres[half][c]) * factors[half][c];
    }
    finish_run(args.epilogue, channel, x[i]);
    store_run(args.out, image * args.out.image_stride + pixel * args.out.pixel_stride + channel,
              x[i]);
    if (args.copy.data == nullptr) continue;
    if (args.copy_relu) {
#pragma unroll
      for (float& y : x[i]) y = y < 0.0f ? 0.0f : y;
    }
    store_run(args.copy, image * args.copy.image_stride + pixel * args.copy.pixel_stride + channel,
              x[i]);
  }
}

int divide_up(int a, int b) { return (a + b - 1) / b; }

}  // namespace

bool norm_suits(const Step& step) {
  return step.op == Op::kInstanceNorm && step.in.c % kChannels == 0 &&
         step.in.pixel_stride % 8 == 0 && step.in.offset % 8 == 0 &&
         step.out.pixel_stride % 8 == 0 && step.out.offset % 8 == 0 &&
         step.epilogue.add.buffer < 0 &&
         int64_t{step.in.h} * step.in.w <= kMaxCluster * kMaxThreads / kThreadsAPixel * kMaxPixels;
}

void instance_norm(const StepCall& call) {
  const Step& step = call.step;
  const int pixels = step.in.h * step.in.w;
  int ctas = 1;
  while (ctas < kMaxCluster && pixels > ctas * kPixelsOfACta) ctas *= 2;
  const int cta_pixels = divide_up(pixels, ctas);
  const int threads = std::min(kMaxThreads, divide_up(cta_pixels * kThreadsAPixel, 32) * 32);
  const int groups = divide_up(step.in.c, kChannels * kThreadsAPixel);
  const Arguments args = {{call.operands.scratch, call.operands.slices, call.operands.bias},
                          make_operand(step.in, call.operands.in),
                          make_operand(step.out, call.operands.out),
                          make_operand(call.prepared.copy, call.operands.copy),
                          call.prepared.copy_relu,
                          make_epilogue(step, {}),
                          step.weight,
                          step.eps,
                          pixels,
                          cta_pixels,
                          groups,
                          ctas};
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {static_cast<unsigned>(ctas), 1, 1};
  attributes[1] = early_start(call.images);
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(call.images * groups * ctas));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = call.stream;
  config.attrs = attributes;
  config.numAttrs = 2;
  const auto launch = [&](auto kernel) {
    FACEGEN_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, args));
  };
  const int thread_pixels = divide_up(cta_pixels, threads / kThreadsAPixel);
  if (thread_pixels <= 1) {
    launch(norm_kernel<1>);
  } else if (thread_pixels <= 2) {
    launch(norm_kernel<2>);
  } else if (thread_pixels <= 4) {
    launch(norm_kernel<4>);
  } else {
    launch(norm_kernel<8>);
  }
}

}  // namespace facegen::cuda::hopper
