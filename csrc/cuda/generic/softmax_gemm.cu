// out[k] = bias[k] + sum_c softmax(in)[c] W[k, c]
//        = bias[k] + (sum_c exp(in[c] - max) W[k, c]) / (sum_c exp(in[c] - max))
//
// The softmax never reaches memory. A warp takes one pixel after another: lane l has channels l,
// l + 32, ... and keeps its weights in registers. Lanes sum in order and are added as a tree, so
// the order depends on the layer alone.
#include <algorithm>
#include <vector>

#include "cuda/fit/softmax_gemm.h"
#include "cuda/generic/element.cuh"
#include "cuda/layer.h"
#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMaxChannels = kSoftmaxChannels, kMaxOutputs = kSoftmaxOutputs;
constexpr int kPerLane = kMaxChannels / 32;
constexpr int kPixelsAWarp = 16;  // at least, where there are enough: its weights are read once

struct Arguments {
  Operand in, out;
  DeviceEpilogue epilogue;
  const float* weights;  // (kMaxOutputs, kMaxChannels), padded with zeros
  int64_t pixels;        // of all images
};

__device__ inline float add_lanes(float x) {
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(~0u, x, step);
  return x;
}

template <Format kFormat>
__device__ inline float load_as(const Operand& in, int64_t element) {
  if constexpr (kFormat == Format::kFloat32) return reinterpret_cast<const float*>(in.data)[element];
  return __half2float(reinterpret_cast<const __half*>(in.data)[element]);
}

template <int kOutputs, Format kFormat>
__global__ void __launch_bounds__(kThreads)
    softmax_gemm_kernel(const __grid_constant__ Arguments args) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  const int64_t map = int64_t{args.in.h} * args.in.w;
  const int64_t warps = int64_t{gridDim.x} * (kThreads / 32);
  float weights[kOutputs][kPerLane];
#pragma unroll
  for (int k = 0; k < kOutputs; ++k) {
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      weights[k][i] = args.weights[k * kMaxChannels + i * 32 + lane];
    }
  }
  for (int64_t p = (int64_t{blockIdx.x} * kThreads + threadIdx.x) / 32; p < args.pixels;
       p += warps) {
    const int64_t image = p / map, pixel = p - image * map;
    const int64_t start = image * args.in.image_stride + pixel * args.in.pixel_stride;
    float x[kPerLane];
    float largest = -INFINITY;
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      const int c = i * 32 + lane;
      x[i] = c < args.in.c ? load_as<kFormat>(args.in, start + c) : -INFINITY;
      largest = fmaxf(largest, x[i]);
    }
    for (int step = 16; step > 0; step /= 2) {
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
    }
    float total = 0.0f, sums[kOutputs] = {};
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (i * 32 >= args.in.c) break;
      const float e = expf(x[i] - largest);
      total += e;
#pragma unroll
      for (int k = 0; k < kOutputs; ++k) sums[k] = fmaf(e, weights[k][i], sums[k]);
    }
    total = add_lanes(total);
#pragma unroll
    for (int k = 0; k < kOutputs; ++k) {
      const float sum = add_lanes(sums[k]);
      if (lane == 0 && k < args.out.c) {
        finish(args.epilogue, args.out, image, pixel, k, sum / total);
      }
    }
  }
}

class SoftmaxGemm final : public Layer {
 public:
  explicit SoftmaxGemm(const GemmSpec& spec) : Layer(spec) {
    std::vector<float> padded(static_cast<std::size_t>(kMaxOutputs) * kMaxChannels, 0.0f);
    for (int k = 0; k < step_.out.c; ++k) {
      std::copy_n(spec.step.weight + int64_t{k} * step_.in.c, step_.in.c,
                  padded.begin() + int64_t{k} * kMaxChannels);
    }
    weights_ = keep(padded);
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    const int64_t pixels = images * step_.in.h * step_.in.w;
    const Arguments args = {make_operand(step_.in, operands.in), make_operand(step_.out, operands.out),
                            make_epilogue(step_, operands.add), weights_, pixels};
    constexpr int64_t kMostBlocks = 2048, kWarps = kThreads / 32;
    const int64_t blocks = divide_up(pixels, kWarps);
    const auto grid = static_cast<unsigned>(
        std::max(std::min(blocks, kMostBlocks), blocks / kPixelsAWarp));
    const auto launch = [&](auto of_few, auto of_many) {
      (step_.out.c <= 2 ? of_few : of_many)<<<grid, kThreads, 0, stream>>>(args);
    };
    if (operands.in.format == Format::kHalf) {
      launch(softmax_gemm_kernel<2, Format::kHalf>, softmax_gemm_kernel<4, Format::kHalf>);
    } else {  // softmax input is not what a GEMM multiplies, so it is never split
      launch(softmax_gemm_kernel<2, Format::kFloat32>, softmax_gemm_kernel<4, Format::kFloat32>);
    }
    FACEGEN_CUDA_CHECK_LAUNCH("softmax_gemm_kernel");
  }

 private:
  const float* weights_;
};

}  // namespace

std::unique_ptr<Gemm> make_softmax_gemm(const GemmSpec& spec) {
  return std::make_unique<SoftmaxGemm>(spec);
}

}  // namespace facegen::cuda
