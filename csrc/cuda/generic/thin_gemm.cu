// conv2d and conv_transpose2d with 1 to 4 output channels by plain multiply-adds, any precision: a
// tile of 64 columns would be nearly all padding.
//
// A block of 128 threads computes 16 x 32 outputs of one phase, all channels; a thread 4 of them
// below each other. Some input channels at a time, the block brings the patch that its outputs read
// into shared memory, pixels next to each other, so that a warp (32 outputs of a row) reads 32
// neighbouring floats; the weights of a tap are one float4 that all lanes read.
//
//   shared memory:  weights (tap, channel, 4) | where each tap reads | patch (channel, y, x)
//
// A thread reads 4 + 1 values for 16 multiply-adds. Every output is one chain of multiply-adds in
// the order run of channels, tap, channel: it depends on the layer alone.
#include <algorithm>

#include "cuda/fit/thin_plan.h"
#include "cuda/generic/igemm.cuh"

namespace facegen::cuda {
namespace {

constexpr int kTileHeight = kThinHeight, kTileWidth = kThinWidth, kThreads = 128;
constexpr int kBlocks = 4;  // of a multiprocessor: as many as its shared memory holds
constexpr int kOutputsAThread = 4, kMaxColumns = kMaxThinColumns;
static_assert(kThreads * kOutputsAThread == kTileHeight * kTileWidth);

struct ThinArguments {
  Operand in, out;
  DeviceEpilogue epilogue;
  const ThinPhase* phases;
  const TapOffset* taps;
  const float4* weights;
  int32_t channels;  // at once
  int64_t images;
};

// Brings `channels` channels of the patch at (patch_y, patch_x) into shared memory, (c, y, x).
// Lanes have neighbouring pixels: each reads a whole sector of 8 channels, and their stores fall
// into different banks.
template <bool kByRuns>
__device__ inline void fetch_patch(const ThinArguments& args, const ThinPhase& phase,
                                   int64_t image, int patch_y, int patch_x, int first,
                                   int channels, float* patch) {
  const int pixels = phase.patch_height * phase.patch_width;
  for (int pixel = static_cast<int>(threadIdx.x); pixel < pixels; pixel += kThreads) {
    const int py = pixel / phase.patch_width;
    const int iy = patch_y + py, ix = patch_x + pixel - py * phase.patch_width;
    const bool inside = iy >= 0 && iy < args.in.h && ix >= 0 && ix < args.in.w;
    const int64_t start = inside ? image * args.in.image_stride +
                                       (int64_t{iy} * args.in.w + ix) * args.in.pixel_stride + first
                                 : -1;
    float* to = patch + pixel;
    if constexpr (kByRuns) {
      for (int c = 0; c < channels; c += 8) {
        __align__(16) float x[8];
        load_run(args.in, inside ? start + c : -1, x);
#pragma unroll
        for (int i = 0; i < 8; ++i) to[(c + i) * phase.patch_pitch] = x[i];
      }
    } else {
      for (int c = 0; c < channels; ++c) {
        to[c * phase.patch_pitch] = inside ? load(args.in, start + c) : 0.0f;
      }
    }
  }
}

template <bool kByRuns>
__global__ void __launch_bounds__(kThreads, kBlocks) thin_kernel(const __grid_constant__ ThinArguments args) {
  extern __shared__ __align__(16) float thin_shared[];
  const ThinPhase phase = args.phases[blockIdx.y];
  const int64_t map_tiles = int64_t{phase.tiles_y} * phase.tiles_x;
  const int64_t image = blockIdx.x / map_tiles;
  if (image >= args.images) return;  // another phase has more tiles
  const int tile = static_cast<int>(blockIdx.x % map_tiles);
  const int y0 = tile / phase.tiles_x * kTileHeight, x0 = tile % phase.tiles_x * kTileWidth;
  const int thread = static_cast<int>(threadIdx.x);
  const int taps = phase.rows.taps;

  auto* weights = reinterpret_cast<float4*>(thin_shared);
  int* tap_places = reinterpret_cast<int*>(weights + args.channels * taps);
  float* patch = reinterpret_cast<float*>(tap_places + taps);
  for (int t = thread; t < taps; t += kThreads) {
    const TapOffset tap = args.taps[phase.rows.first_tap + t];
    tap_places[t] = (tap.dy - phase.top) * phase.patch_width + tap.dx - phase.left;
  }

  const int ty = thread / kTileWidth * kOutputsAThread, tx = thread % kTileWidth;
  const float* mine = patch + ty * phase.rows.step_y * phase.patch_width + tx * phase.rows.step_x;
  const int below = phase.rows.step_y * phase.patch_width;
  const int patch_y = y0 * phase.rows.step_y + phase.top;
  const int patch_x = x0 * phase.rows.step_x + phase.left;
  float sum[kOutputsAThread][kMaxColumns] = {};
  for (int first = 0; first < args.in.c; first += args.channels) {
    const int channels = min(args.channels, args.in.c - first);
    __syncthreads();  // the chunk before has been used
    fetch_patch<kByRuns>(args, phase, image, patch_y, patch_x, first, channels, patch);
    for (int i = thread; i < channels * taps; i += kThreads) {
      weights[i] = args.weights[phase.weights + int64_t{first} * taps + i];
    }
    __syncthreads();
    for (int t = 0; t < taps; ++t) {
      const float* x = mine + tap_places[t];
      const float4* tap_weights = weights + t * channels;
#pragma unroll 4
      for (int c = 0; c < channels; ++c) {
        const float4 w = tap_weights[c];
#pragma unroll
        for (int i = 0; i < kOutputsAThread; ++i) {
          const float value = x[i * below];
          sum[i][0] = fmaf(value, w.x, sum[i][0]);
          sum[i][1] = fmaf(value, w.y, sum[i][1]);
          sum[i][2] = fmaf(value, w.z, sum[i][2]);
          sum[i][3] = fmaf(value, w.w, sum[i][3]);
        }
        x += phase.patch_pitch;
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kOutputsAThread; ++i) {
    const int oy = y0 + ty + i, ox = x0 + tx;
    if (oy >= phase.rows.out_h || ox >= phase.rows.out_w) continue;
    const int64_t pixel = output_pixel(phase.rows, {image, oy, ox}, args.out.w);
#pragma unroll
    for (int c = 0; c < kMaxColumns; ++c) {
      if (c < args.out.c) finish(args.epilogue, args.out, image, pixel, c, sum[i][c]);
    }
  }
}

class ThinGemm final : public Layer {
 public:
  explicit ThinGemm(const GemmSpec& spec) : Layer(spec) {
    ThinPlan thin = plan_thin(spec.step, spec.in);
    const IgemmPlan& plan = thin.gemm;
    std::vector<ThinPhase>& phases = thin.phases;
    const int channels = channels_ = thin.channels;
    by_runs_ = plan.aligned && channels % 8 == 0;
    phase_count_ = static_cast<int>(phases.size());
    shared_bytes_ = static_cast<std::size_t>(thin.shared_floats) * sizeof(float);
    const int64_t per_column = int64_t{step_.kernel_h} * step_.kernel_w * step_.in.c;
    std::vector<float> packed;
    for (ThinPhase& phase : phases) {
      phase.weights = static_cast<int64_t>(packed.size() / kMaxColumns);
      map_tiles_ = std::max(map_tiles_, int64_t{phase.tiles_y} * phase.tiles_x);
      for (int first = 0; first < step_.in.c; first += channels) {
        const int last = std::min(first + channels, step_.in.c);
        for (int t = 0; t < phase.rows.taps; ++t) {
          const auto tap = static_cast<std::size_t>(phase.rows.first_tap + t);
          const float* weight = spec.step.weight + int64_t{plan.weight_taps[tap]} * step_.in.c;
          for (int c = first; c < last; ++c) {
            for (int column = 0; column < kMaxColumns; ++column) {
              packed.push_back(column < step_.out.c ? weight[column * per_column + c] : 0.0f);
            }
          }
        }
      }
    }
    weights_ = keep(packed);
    phases_ = keep(phases);
    taps_ = keep(plan.taps);
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    const ThinArguments args = {make_operand(step_.in, operands.in),
                                make_operand(step_.out, operands.out),
                                make_epilogue(step_, operands.add),
                                phases_,
                                taps_,
                                reinterpret_cast<const float4*>(weights_),
                                channels_,
                                images};
    const dim3 blocks(static_cast<unsigned>(map_tiles_ * images),
                      static_cast<unsigned>(phase_count_));
    const auto kernel = by_runs_ ? thin_kernel<true> : thin_kernel<false>;
    kernel<<<blocks, kThreads, shared_bytes_, stream>>>(args);
    FACEGEN_CUDA_CHECK_LAUNCH("thin_kernel");
  }

 private:
  int channels_ = 0;  // at once
  bool by_runs_ = false;
  int phase_count_ = 0;
  std::size_t shared_bytes_ = 0;
  int64_t map_tiles_ = 0;
  const float* weights_;
  const ThinPhase* phases_;
  const TapOffset* taps_;
};

}  // namespace

std::unique_ptr<Gemm> make_thin_gemm(const GemmSpec& spec) {
  return std::make_unique<ThinGemm>(spec);
}

}  // namespace facegen::cuda
