// y = gamma (x - mean) / sqrt(variance + eps) + beta, mean and biased variance of each channel over
// the pixels of one image.
//
// Memory is read once: a cluster of CTAs holds all pixels of 16 channels of an image in registers,
// 8 channels a thread; two threads side by side write a whole sector of 32 bytes. An image is up to
// 16 parts of at most 4 pixels a thread. Each part has a CTA; of large maps in large batches a CTA
// has two. Each thread sums its pixels' differences d from its first pixel x0, and their squares,
// in float32, and goes on in double:
//
//   sum x = n x0 + sum d,   sum x^2 = n x0^2 + 2 x0 sum d + sum d^2
//
// so that neither a large mean nor a constant map costs digits. Then lanes, warps and parts are
// added, always in the same order: which pixels a part and its threads have depends on the layer
// alone, and so do the bits. (fma where the compiler could choose: all instances agree.)
#include "cuda/hopper/norm.h"

#include <cooperative_groups.h>

#include <algorithm>

#include "cuda/fit/norm.h"
#include "cuda/generic/element.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/ptx.cuh"
#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

namespace cg = cooperative_groups;

constexpr int kChannels = kNormChannels, kMaxThreads = kMaxNormThreads;
constexpr int kPixelsOfAPart = 512;   // more only where 16 parts are too few
constexpr int kSlicesAtOnce = 8;      // on their way to a thread
constexpr int kSums = 2 * kChannels;  // of x, then of x^2
static_assert(kEarlyImages >= kScratchImages, "only early kernels read slices");

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
  double of_pixel;  // 1 / pixels
  int32_t pixels, part_pixels, groups, ctas;  // groups: of 16 channels; ctas: of a cluster
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
// Zeros where the pixel is not `present`.
__device__ inline void load_slices(const Arguments& args, bool present, int image, int pixel,
                                   int channel, const float (&bias)[kChannels],
                                   float (&x)[kChannels]) {
  const int64_t slice = int64_t{args.pixels} * args.in.c;
  const float* from = args.slices.data + image * args.slices.count * slice +
                      int64_t{pixel} * args.in.c + channel;
#pragma unroll
  for (float& value : x) value = 0.0f;
#pragma unroll 1
  for (int first = 0; first < args.slices.count; first += kSlicesAtOnce) {
    float4 a[kSlicesAtOnce], b[kSlicesAtOnce];
#pragma unroll
    for (int i = 0; i < kSlicesAtOnce; ++i, from += slice) {
      const bool read = present && first + i < args.slices.count;
      a[i] = ptx::load16_if(read, from);
      b[i] = ptx::load16_if(read, from + 4);
    }
#pragma unroll
    for (int i = 0; i < kSlicesAtOnce; ++i) {
      x[0] += a[i].x, x[1] += a[i].y, x[2] += a[i].z, x[3] += a[i].w;
      x[4] += b[i].x, x[5] += b[i].y, x[6] += b[i].z, x[7] += b[i].w;
    }
  }
#pragma unroll
  for (int c = 0; c < kChannels; ++c) x[c] += bias[c];
}

// kParts of the image in each CTA, kPixels of each in a thread. kEarly: for small batches. They may
// come as slices, and constants are loaded while the step before this one still runs.
template <int kPixels, int kParts, bool kEarly>
__global__ void __launch_bounds__(kMaxThreads)
    norm_kernel(const __grid_constant__ Arguments args) {
  __shared__ double warp_sums[kParts][kMaxThreads / 32][32];
  __shared__ double part_sums[kParts][32];  // (sum, channel of the thread, which thread of a pixel)
  __shared__ float centres[kThreadsAPixel][kChannels], factors[kThreadsAPixel][kChannels];
  const int warp = static_cast<int>(threadIdx.x / 32);
  const int lane = static_cast<int>(threadIdx.x % 32), half = lane % kThreadsAPixel;
  const int thread = static_cast<int>(threadIdx.x) / kThreadsAPixel;
  const int threads = static_cast<int>(blockDim.x) / kThreadsAPixel;
  const int rank = static_cast<int>(blockIdx.x) % args.ctas;
  const int unit = static_cast<int>(blockIdx.x) / args.ctas;
  const int image = unit / args.groups;
  const int channel = (unit % args.groups * kThreadsAPixel + half) * kChannels;
  const bool exists = channel < args.in.c;
  const auto start_of = [&](int part) { return (rank * kParts + part) * args.part_pixels; };
  const auto end_of = [&](int part) { return min(start_of(part) + args.part_pixels, args.pixels); };

  const bool finishes = threadIdx.x < kSums && exists;  // a channel's statistics
  float gamma = 0.0f, beta[kChannels], bias[kChannels];
  const auto load_gamma = [&] {
    if (finishes) gamma = __ldg(args.gamma + channel + lane / kThreadsAPixel);
  };
  if constexpr (kEarly) {
    load_gamma();
    load8(exists ? args.epilogue.bias : nullptr, channel, beta);
    load8(exists ? args.slices.bias : nullptr, channel, bias);
  }
  ptx::wait_for_steps_before();

  float x[kParts][kPixels][kChannels];
  const int64_t start = image * args.in.image_stride + channel;
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
#pragma unroll
    for (int i = 0; i < kPixels; ++i) {
      const int pixel = start_of(part) + i * threads + thread;
      const bool present = exists && pixel < end_of(part);
      if constexpr (kEarly) {
        if (args.slices.count > 0) {
          load_slices(args, present, image, pixel, channel, bias, x[part][i]);
          continue;
        }
      }
      load_run(args.in, present ? start + pixel * args.in.pixel_stride : -1, x[part][i]);
    }
  }
#pragma unroll
  for (int part = 0; part < kParts; ++part) {
    double sums[kSums] = {};
    const int left = end_of(part) - start_of(part) - thread;
    const int count = left <= 0 ? 0 : min((left + threads - 1) / threads, kPixels);
    if (count > 0) {
#pragma unroll
      for (int c = 0; c < kChannels; ++c) {
        float sum = 0.0f, squares = 0.0f;
#pragma unroll
        for (int i = 1; i < kPixels; ++i) {
          const float d = i < count ? x[part][i][c] - x[part][0][c] : 0.0f;
          sum += d;
          squares = fmaf(d, d, squares);
        }
        const double base = x[part][0][c];
        sums[c] = fma(static_cast<double>(count), base, static_cast<double>(sum));
        sums[kChannels + c] = fma(fma(static_cast<double>(count), base, 2.0 * sum), base,
                                  static_cast<double>(squares));
      }
    }
    warp_sums[part][warp][lane] = add_lanes(sums, lane);
  }
  __syncthreads();
  if (threadIdx.x < 32) {
#pragma unroll
    for (int part = 0; part < kParts; ++part) {
      double sum = 0.0;
      for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += warp_sums[part][w][lane];
      part_sums[part][lane] = sum;
    }
  }
  if constexpr (!kEarly) load_gamma();
  const auto cluster = cg::this_cluster();
  const auto sync = [&] { args.ctas == 1 ? __syncthreads() : cluster.sync(); };
  sync();
  // Of a lane's 32 totals, the first 16 are sums of x, the others of x^2.
  if (finishes) {
    double sum = 0.0, squares = 0.0;
    for (int r = 0; r < args.ctas; ++r) {
      const double* of_cta =
          args.ctas == 1 ? &part_sums[0][0] : cluster.map_shared_rank(&part_sums[0][0], r);
#pragma unroll
      for (int part = 0; part < kParts; ++part) {
        sum += of_cta[32 * part + lane];
        squares += of_cta[32 * part + kSums + lane];
      }
    }
    const double mean = sum * args.of_pixel;
    const double variance = fmax(fma(-mean, mean, squares * args.of_pixel), 0.0);
    const int c = lane / kThreadsAPixel;
    centres[half][c] = static_cast<float>(mean);
    factors[half][c] =
        static_cast<float>(gamma * rsqrt(variance + static_cast<double>(args.eps)));
  }
  sync();  // also: no CTA leaves while others read its sums

  if (!exists) return;
  if constexpr (!kEarly) load8(args.epilogue.bias, channel, beta);
  DeviceEpilogue rest = args.epilogue;
  rest.bias = nullptr;
#pragma unroll
  for (int i = 0; i < kParts * kPixels; ++i) {
    const int part = i / kPixels, pixel = start_of(part) + i % kPixels * threads + thread;
    if (pixel >= end_of(part)) continue;
    float(&y)[kChannels] = x[part][i % kPixels];
#pragma unroll
    for (int c = 0; c < kChannels; ++c) {
      y[c] = fmaf(y[c] - centres[half][c], factors[half][c], beta[c]);
    }
    finish_run(rest, channel, y);
    store_run(args.out, image * args.out.image_stride + pixel * args.out.pixel_stride + channel, y);
    if (args.copy.data == nullptr) continue;
    if (args.copy_relu) {
#pragma unroll
      for (float& value : y) value = value < 0.0f ? 0.0f : value;
    }
    store_run(args.copy, image * args.copy.image_stride + pixel * args.copy.pixel_stride + channel,
              y);
  }
}

}  // namespace

void instance_norm(const StepCall& call) {
  const Step& step = call.step;
  const int pixels = step.in.h * step.in.w;
  int parts = 1;
  while (parts < kMaxNormParts && pixels > parts * kPixelsOfAPart) parts *= 2;
  const int part_pixels = divide_up(pixels, parts);
  const int threads = std::min(kMaxThreads, divide_up(part_pixels * kThreadsAPixel, 32) * 32);
  const int groups = divide_up(step.in.c, kChannels * kThreadsAPixel);
  Arguments args = {{call.operands.scratch, call.operands.slices, call.operands.bias},
                    make_operand(step.in, call.operands.in),
                    make_operand(step.out, call.operands.out),
                    make_operand(step.copy, call.operands.copy),
                    step.copy_relu,
                    make_epilogue(step, {}),
                    step.weight,
                    step.eps,
                    1.0 / pixels,
                    pixels,
                    part_pixels,
                    groups,
                    parts};
  cudaLaunchAttribute attributes[2] = {};
  attributes[0] = early_start(call.images);
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  cudaLaunchConfig_t config = {};
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.stream = call.stream;
  config.attrs = attributes;
  const auto set_ctas = [&](int ctas) {
    args.ctas = ctas;
    attributes[1].val.clusterDim = {static_cast<unsigned>(ctas), 1, 1};
    config.numAttrs = ctas > 1 ? 2 : 1;
    config.gridDim = dim3(static_cast<unsigned>(call.images * groups * ctas));
  };
  const auto launch = [&](auto kernel) {
    FACEGEN_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, args));
  };
  const bool early = call.images <= kEarlyImages;
  if (parts == kMaxNormParts) {
    set_ctas(kMaxNormParts / 2);
    if (!early) return launch(norm_kernel<kMaxNormPixels, 2, false>);
    // Clusters of 16 are more than every GPU must have room for.
    const auto kernel = norm_kernel<kMaxNormPixels, 1, true>;
    FACEGEN_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1));
    set_ctas(kMaxNormParts);
    int clusters = 0;
    if (cudaOccupancyMaxActiveClusters(&clusters, kernel, &config) == cudaSuccess && clusters > 0) {
      return launch(kernel);
    }
    cudaGetLastError();  // is no failure
    set_ctas(kMaxNormParts / 2);
    return launch(norm_kernel<kMaxNormPixels, 2, true>);
  }
  set_ctas(parts);
  const int thread_pixels = divide_up(part_pixels, threads / kThreadsAPixel);
  if (thread_pixels <= 1) {
    early ? launch(norm_kernel<1, 1, true>) : launch(norm_kernel<1, 1, false>);
  } else {
    early ? launch(norm_kernel<2, 1, true>) : launch(norm_kernel<2, 1, false>);
  }
}

}  // namespace facegen::cuda::hopper
