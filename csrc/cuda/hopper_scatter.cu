// conv_transpose2d 5x5, stride 2, 64 -> at most 3 channels: DCGAN's last layer, bound by memory.
//
// Output (Y, X) sums input (iy, ix) * weight (ky, kx) over  Y = 2 iy + ky - 1,  X = 2 ix + kx - 1.
// Gathering would read every input pixel 9 times. So: one product of each input pixel with all 25
// taps (75 columns, padded to 80), then the products are added where they belong:
//
//   P (75 columns; 4 input rows x 32 pixels) = W (75, 64) * A (64; pixels)        wgmma 64 x 80
//   out (2 i + dy, 2 j + dx) = sum of P (its tap; rows i - 1 to i + 1, pixels j - 1 to j + 1)
//
// A CTA walks down an image (or a band of its rows) two input rows a step; P is a ring of 4 rows in
// shared memory. Rows above and below the image arrive from the copy engine as zeros. 92 KiB of
// shared memory and 128 threads: two CTAs share a multiprocessor, and one multiplies while the
// other adds.
//
// P is stored column by column, 128 pixels and 4 words of padding: both the stores (lane: 8 pixels
// x 4 column pairs) and the loads (lane: pixel) then touch 32 different banks.

#include <algorithm>
#include <vector>

#include "cuda/error.h"
#include "cuda/hopper_ptx.cuh"
#include "cuda/hopper_scatter.h"
#include "cuda/split.h"

namespace facegen::cuda {
namespace hopper {
namespace {

constexpr int kKernel = 5;
constexpr int kChannels = 3;
constexpr int kColumns = 80;
constexpr int kUsedColumns = kKernel * kKernel * kChannels;
constexpr int kWidth = 32;                 // pixels of a row
constexpr int kStepRows = 2;               // input rows of a step: 64 pixels, one wgmma
constexpr int kPlaneBytes = 64 * 128;      // of A
constexpr int kWeightBytes = kColumns * 128;  // of a plane
constexpr int kStages = 2;
constexpr int kRingRows = 4;
constexpr int kPitch = kRingRows * kWidth + 4;
constexpr int kThreads = 128;

struct Shared {
  char a[kStages][2 * kPlaneBytes];
  char weights[2 * kWeightBytes];
  float products[kUsedColumns][kPitch];
  uint64_t full[kStages], weights_full;
};
static_assert(kWeightBytes % 1024 == 0, "swizzle atoms");
static_assert(2 * (sizeof(Shared) + 1024) <= 228 << 10, "two CTAs share a multiprocessor");

// Where a CTA is: the rows of one band, two at a time.
struct Walk {
  int unit, step;  // unit = image * bands + band
  __device__ void advance(int steps) {
    if (++step == steps) {
      step = 0;
      unit += static_cast<int>(gridDim.x);
    }
  }
};

__device__ float activate(const ScatterArguments& args, float v) {
  switch (args.activation) {
    case Activation::kNone: return v;
    case Activation::kRelu: return fmaxf(v, 0.0f);
    case Activation::kLeakyRelu: return v > 0.0f ? v : v * args.slope;
    case Activation::kTanh: return tanhf(v);
  }
  return v;
}

// One row of outputs of 32 input pixels, a pixel a lane: Y = 2 i + dy, X = 2 j and 2 j + 1.
// `ring_row(i)` is where row i of the products starts.
template <int kDy>
__device__ void add_products(const ScatterArguments& args, const Shared& shared, int ring_row_i,
                             int n, int i, int j) {
  float sums[2][kChannels] = {};
  // Input row i - 1 + r holds tap ky = dy + 1 - 2 (r - 1).
#pragma unroll
  for (int r = 0; r < 3; ++r) {
    const int ky = kDy + 3 - 2 * r;
    if (ky < 0 || ky >= kKernel) continue;
    const int row = (ring_row_i - 1 + r + kRingRows) % kRingRows * kWidth;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const int ix = j - 1 + c;
      const bool inside = ix >= 0 && ix < kWidth;
#pragma unroll
      for (int dx = 0; dx < 2; ++dx) {
        const int kx = dx + 3 - 2 * c;
        if (kx < 0 || kx >= kKernel) continue;
#pragma unroll
        for (int o = 0; o < kChannels; ++o) {
          const float* column = shared.products[(ky * kKernel + kx) * kChannels + o];
          sums[dx][o] += inside ? column[row + ix] : 0.0f;
        }
      }
    }
  }
  float* out = args.out + n * args.out_image_stride + (2 * i + kDy) * args.out_row_stride +
               2 * j * args.out_pixel_stride;
#pragma unroll
  for (int dx = 0; dx < 2; ++dx) {
#pragma unroll
    for (int o = 0; o < kChannels; ++o) {
      if (o < args.channels) {
        const float bias = args.bias ? __ldg(args.bias + o) : 0.0f;
        out[dx * args.out_pixel_stride + o] = activate(args, sums[dx][o] + bias);
      }
    }
  }
}

template <bool kHalf>
__global__ void __launch_bounds__(kThreads, 2)
    hopper_scatter(const __grid_constant__ ScatterArguments args) {
  extern __shared__ __align__(1024) char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  constexpr int kPlanes = kHalf ? 1 : 2;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int units = args.images * args.bands;
  // A band needs one row above and one below: step 0 brings rows -1 and 0 of it.
  const int steps = args.band_rows / kStepRows + 1;

  auto fetch = [&](const Walk& walk, int stage) {
    if (walk.unit >= units) return;
    const uint32_t full = ptx::shared_address(&shared.full[stage]);
    const int first_row = walk.unit % args.bands * args.band_rows - 1;
    ptx::barrier_arrive_expect(full, kPlanes * kPlaneBytes);
    for (int plane = 0; plane < kPlanes; ++plane) {
      ptx::copy_box(ptx::shared_address(shared.a[stage]) + plane * kPlaneBytes, &args.input, full,
                    0, 0, first_row + kStepRows * walk.step, walk.unit / args.bands, plane);
    }
  };

  Walk now = {static_cast<int>(blockIdx.x), 0}, ahead = now;
  if (threadIdx.x == 0) {
    for (uint64_t& barrier : shared.full) ptx::barrier_init(ptx::shared_address(&barrier), 1);
    const uint32_t weights_full = ptx::shared_address(&shared.weights_full);
    ptx::barrier_init(weights_full, 1);
    ptx::barrier_init_fence();
    ptx::barrier_arrive_expect(weights_full, kPlanes * kWeightBytes);
    ptx::copy_bytes(ptx::shared_address(shared.weights), args.weights, kPlanes * kWeightBytes,
                    weights_full);
    for (int stage = 0; stage < kStages; ++stage) {
      fetch(ahead, stage);
      ahead.advance(steps);
    }
  }
  __syncthreads();
  ptx::barrier_wait(ptx::shared_address(&shared.weights_full), 0);

  const uint64_t b = ptx::tile_descriptor(ptx::shared_address(shared.weights));
  int stage = 0;
  uint32_t parity = 0;
  int ring = 0;  // ring row of this step's first input row
  for (; now.unit < units; now.advance(steps)) {
    ptx::barrier_wait(ptx::shared_address(&shared.full[stage]), parity);
    const uint64_t a = ptx::tile_descriptor(ptx::shared_address(shared.a[stage]));
    float sums[kColumns / 2] = {};
    ptx::wgmma_fence();
#pragma unroll
    for (int k = 0; k < kBlock / 16; ++k) {
      ptx::wgmma<kColumns, kHalf>(sums, a + 2 * k, b + 2 * k);
      if constexpr (!kHalf) {
        ptx::wgmma<kColumns, kHalf>(sums, a + kPlaneBytes / 16 + 2 * k, b + 2 * k);
        ptx::wgmma<kColumns, kHalf>(sums, a + 2 * k, b + kWeightBytes / 16 + 2 * k);
      }
    }
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>();
    // Row `pixel` of the sums: row pixel / 32 of the step, x = pixel % 32.
    const int pixel = warp * 16 + lane / 4;
    float* to = &shared.products[2 * (lane % 4)][ring * kWidth + pixel];
#pragma unroll
    for (int c = 0; c < kColumns / 8; ++c) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        if (8 * c + 2 * (lane % 4) + e < kUsedColumns) {
          to[(8 * c + e) * kPitch] = sums[4 * c + e];
          to[(8 * c + e) * kPitch + 8] = sums[4 * c + 2 + e];
        }
      }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      fetch(ahead, stage);
      ahead.advance(steps);
    }
    if (now.step > 0) {
      // Rows i - 1 to i + 1 are there for the last row before this step and this step's first.
      const int n = now.unit / args.bands;
      const int i = now.unit % args.bands * args.band_rows - 2 + kStepRows * now.step + warp % 2;
      const int ring_i = ring - 1 + warp % 2;
      if (i < args.in_h) {
        if (warp / 2 == 0) {
          add_products<0>(args, shared, ring_i, n, i, lane);
        } else {
          add_products<1>(args, shared, ring_i, n, i, lane);
        }
      }
    }
    __syncthreads();
    ring = (ring + kStepRows) % kRingRows;
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
}

template <bool kHalf>
void launch_variant(const ScatterArguments& arguments, int multiprocessors, cudaStream_t stream) {
  FACEGEN_CUDA_CHECK(cudaFuncSetAttribute(
      hopper_scatter<kHalf>, cudaFuncAttributeMaxDynamicSharedMemorySize, sizeof(Shared)));
  const int ctas = std::min(2 * multiprocessors, arguments.images * arguments.bands);
  hopper_scatter<kHalf>
      <<<static_cast<unsigned>(ctas), kThreads, sizeof(Shared), stream>>>(arguments);
  FACEGEN_CUDA_CHECK_LAUNCH("hopper_scatter");
}

// Rows as the kernel's columns, 128-byte swizzle.
std::vector<uint16_t> pack(const Step& step, bool half) {
  std::vector<uint16_t> packed(static_cast<std::size_t>(2 * kColumns * kBlock), 0);
  for (int tap = 0; tap < kKernel * kKernel; ++tap) {
    for (int o = 0; o < step.out.c; ++o) {
      const int r = tap * kChannels + o;
      for (int k = 0; k < step.in.c; ++k) {
        const float value =
            step.weight[(static_cast<int64_t>(o) * kKernel * kKernel + tap) * step.in.c + k];
        const int at = r * kBlock + ((k / 8) ^ (r % 8)) * 8 + k % 8;
        uint16_t* to = &packed[static_cast<std::size_t>(at)];
        *to = half ? half_bits(value) : bfloat16_bits(value);
        if (!half) to[kColumns * kBlock] = bfloat16_bits(value - bfloat16_value(*to));
      }
    }
  }
  return packed;
}

// Whether output o = 2 i + k - 1 for both phases of an axis.
bool is_same_padding(const Axis& axis) {
  const int o = axis.out_origin;
  return axis.step == 1 && axis.dir == -1 && axis.out_step == 2 && axis.tap_step == 2 &&
         axis.first_tap == 1 - o && axis.base == o && axis.taps == 2 + o;
}

}  // namespace

void launch(const ScatterArguments& arguments, bool half, int multiprocessors,
            cudaStream_t stream) {
  half ? launch_variant<true>(arguments, multiprocessors, stream)
       : launch_variant<false>(arguments, multiprocessors, stream);
}

}  // namespace hopper

HopperScatter::HopperScatter(const GemmSpec& spec)
    : in_(spec.step.in), half_(spec.in.format == Format::kHalf) {
  int device = 0;
  FACEGEN_CUDA_CHECK(cudaGetDevice(&device));
  FACEGEN_CUDA_CHECK(
      cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device));
  const std::vector<uint16_t> packed = hopper::pack(spec.step, half_);
  weights_ = upload(packed.data(), static_cast<int64_t>(packed.size()));
  const View& out = spec.step.out;
  fixed_.weights = reinterpret_cast<const uint8_t*>(weights_.get());
  fixed_.bias = spec.step.bias;
  fixed_.in_h = in_.h;
  fixed_.channels = out.c;
  fixed_.activation = spec.step.epilogue.activation;
  fixed_.slope = spec.step.epilogue.slope;
  fixed_.out_pixel_stride = out.pixel_stride;
  fixed_.out_row_stride = out.pixel_stride * out.w;
}

void HopperScatter::run(int64_t images, const Operands& operands, cudaStream_t stream) const {
  hopper::ScatterArguments arguments = fixed_;
  arguments.input = hopper::input_map(in_, operands.in, images, {5, 1, 0}, 1, 1);
  arguments.images = static_cast<int32_t>(images);
  // Fewer images than CTAs: bands, each of which reads two rows of its neighbours again.
  arguments.bands = 1;
  arguments.band_rows = in_.h;
  while (arguments.images * arguments.bands < 2 * multiprocessors_ &&
         arguments.band_rows % 4 == 0) {
    arguments.bands *= 2;
    arguments.band_rows /= 2;
  }
  arguments.out = static_cast<float*>(operands.out.data);
  arguments.out_image_stride = operands.out.image_stride;
  hopper::launch(arguments, half_, multiprocessors_, stream);
}

std::unique_ptr<Gemm> make_hopper_scatter(const GemmSpec& spec) {
  const Step& step = spec.step;
  int device = 0, major = 0;
  FACEGEN_CUDA_CHECK(cudaGetDevice(&device));
  FACEGEN_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  const bool formats = (spec.precision == Precision::kFloat16 && spec.in.format == Format::kHalf) ||
                       (spec.precision == Precision::kFloat32 && spec.in.format == Format::kSplit);
  bool fits = major == 9 && formats && spec.out.format == Format::kFloat32 &&
              step.epilogue.add.buffer < 0 && !step.epilogue.scale && step.phase_count == 4 &&
              step.kernel_h == hopper::kKernel && step.kernel_w == hopper::kKernel &&
              step.in.c <= hopper::kBlock && step.in.c % 8 == 0 &&
              step.out.c <= hopper::kChannels && step.in.w == hopper::kWidth &&
              step.in.h % 2 == 0 && step.out.h == 2 * step.in.h && step.out.w == 2 * step.in.w;
  for (int p = 0; fits && p < step.phase_count; ++p) {
    fits = hopper::is_same_padding(step.phases[p].y) && hopper::is_same_padding(step.phases[p].x);
  }
  for (const int64_t elements : {step.in.pixel_stride, step.in.offset, spec.in.image_stride}) {
    fits = fits && elements % 8 == 0;  // the copy engine moves 16 bytes at a time
  }
  if (!fits) return nullptr;
  return std::make_unique<HopperScatter>(spec);
}

}  // namespace facegen::cuda
