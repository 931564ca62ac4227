// conv_transpose2d, stride 2, padding 1 in front, to at most 3 channels: the last layers of
// generators, bound by memory. 5x5 from 64 channels of 32 pixels a row, or 4x4 from 128 of 128.
//
// Output (Y, X) sums input (iy, ix) * weight (ky, kx) over  Y = 2 iy + ky - 1,  X = 2 ix + kx - 1.
// Gathering would read every input pixel 4 or 9 times. So: one product of each input pixel with all
// taps x 3 channels (75 columns, padded to 80; or 48), then the products are added where they belong:
//
//   P (columns; pixels of a step) = W (columns, channels) * A (channels; pixels)      wgmma
//   out (2 i + dy, 2 j + dx) = sum of P (its tap; rows i - 1 to i + 1, pixels j - 1 to j + 1)
//
// A CTA walks down an image (or a band of its rows), two rows of 32 or one of 128 pixels a step; P is
// a ring of rows in shared memory. Rows above and below the image arrive from the copy engine as
// zeros. For 32 pixels two CTAs share a multiprocessor, and one multiplies while the other adds.
//
// P is stored column by column, all pixels and 4 words of padding: both the stores (lane: 8 pixels
// x 4 column pairs) and the loads (lane: pixel) then touch 32 different banks.

#include <algorithm>
#include <vector>

#include "cuda/fit/box.h"
#include "cuda/fit/scatter.h"
#include "cuda/fit/split.h"
#include "cuda/generic/element.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/map.h"
#include "cuda/hopper/parts/ptx.cuh"
#include "cuda/hopper/parts/wgmma.cuh"
#include "cuda/layer.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int kChannels = kScatterChannels;
constexpr int kStages = 2;

// The kernel's argument.
struct ScatterArguments {
  CUtensorMap input;       // (plane, n, y, x, c), boxes of the pixels of a step
  const uint8_t* weights;  // per 64 channels: hi, lo; row = (ky * kernel + kx) * 3 + channel
  const float* bias;       // (channels) or null
  int32_t images, in_h, channels;
  int32_t bands, band_rows;  // an image is cut into bands of input rows, one for a CTA at a time
  Activation activation;
  float slope;
  float* out;
  bool pairs;  // whether two pixels are three aligned pairs of floats
  int64_t out_image_stride, out_row_stride, out_pixel_stride;  // floats
};

template <int kKernelSize, int kRowPixels, int kInputBlocks, bool kHalfOperands>
struct Variant {
  static constexpr bool kHalf = kHalfOperands;
  static constexpr int kKernel = kKernelSize;
  static constexpr int kWidth = kRowPixels;
  static constexpr int kBlocks = kInputBlocks;  // of 64 channels
  static constexpr int kPlanes = kHalf ? 1 : 2;
  static constexpr int kUsedColumns = kKernel * kKernel * kChannels;
  static constexpr int kColumns = (kUsedColumns + 15) / 16 * 16;
  static constexpr int kStepRows = kWidth < 64 ? 64 / kWidth : 1;  // input rows of a step
  static constexpr int kPixels = kStepRows * kWidth;               // 64 for each warpgroup
  static constexpr int kThreads = 2 * kPixels;
  static constexpr int kPlaneBytes = kPixels * 128;    // of A, a plane and block
  static constexpr int kWeightBytes = kColumns * 128;  // of a plane and block
  static constexpr int kRingRows = kStepRows + 2;      // those that an output's products are in
  static constexpr int kPitch = kRingRows * kWidth + 4;

  struct Shared {
    char a[kStages][kBlocks * kPlanes * kPlaneBytes];
    char weights[kBlocks * kPlanes * kWeightBytes];
    float products[kUsedColumns][kPitch];
    uint64_t full[kStages], weights_full;
  };
  static constexpr int kCtas = sizeof(Shared) + 1024 <= 114 << 10 ? 2 : 1;  // of a multiprocessor
  static_assert(sizeof(Shared) <= 227 << 10, "the shared memory of a multiprocessor");
  static_assert(kWeightBytes % 1024 == 0, "swizzle atoms");
  static_assert(kRingRows % kStepRows == 0, "the rows of a step lie side by side");
};

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

// Outputs of one input pixel: Y = 2 i + dy, X = 2 j and 2 j + 1. `ring_row_i`: the row of the ring
// that holds row i of the products.
template <class L, int kDy>
__device__ void add_products(const ScatterArguments& args, const typename L::Shared& shared,
                             int ring_row_i, int n, int i, int j) {
  float sums[2][kChannels] = {};
  // Input row i - 1 + r holds tap ky = dy + 1 - 2 (r - 1).
#pragma unroll
  for (int r = 0; r < 3; ++r) {
    const int ky = kDy + 3 - 2 * r;
    if (ky < 0 || ky >= L::kKernel) continue;
    const int row = (ring_row_i - 1 + r + L::kRingRows) % L::kRingRows * L::kWidth;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
      const int ix = j - 1 + c;
      const bool inside = ix >= 0 && ix < L::kWidth;
#pragma unroll
      for (int dx = 0; dx < 2; ++dx) {
        const int kx = dx + 3 - 2 * c;
        if (kx < 0 || kx >= L::kKernel) continue;
#pragma unroll
        for (int o = 0; o < kChannels; ++o) {
          const float* column = shared.products[(ky * L::kKernel + kx) * kChannels + o];
          sums[dx][o] += inside ? column[row + ix] : 0.0f;
        }
      }
    }
  }
  float* out = args.out + n * args.out_image_stride + (2 * i + kDy) * args.out_row_stride +
               2 * j * args.out_pixel_stride;
  float v[2][kChannels];
#pragma unroll
  for (int dx = 0; dx < 2; ++dx) {
#pragma unroll
    for (int o = 0; o < kChannels; ++o) {
      const float bias = args.bias && o < args.channels ? __ldg(args.bias + o) : 0.0f;
      v[dx][o] = activate(sums[dx][o] + bias, args.activation, args.slope);
    }
  }
  if (args.pairs) {
    auto* to = reinterpret_cast<float2*>(out);
    to[0] = make_float2(v[0][0], v[0][1]);
    to[1] = make_float2(v[0][2], v[1][0]);
    to[2] = make_float2(v[1][1], v[1][2]);
    return;
  }
#pragma unroll
  for (int dx = 0; dx < 2; ++dx) {
#pragma unroll
    for (int o = 0; o < kChannels; ++o) {
      if (o < args.channels) out[dx * args.out_pixel_stride + o] = v[dx][o];
    }
  }
}

template <class L>
__global__ void __launch_bounds__(L::kThreads, L::kCtas)
    hopper_scatter(const __grid_constant__ ScatterArguments args) {
  extern __shared__ __align__(1024) char memory[];
  auto& shared = *reinterpret_cast<typename L::Shared*>(memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int units = args.images * args.bands;
  // A band needs one row above and one below.
  const int steps = (args.band_rows + 1) / L::kStepRows + 1;

  auto fetch = [&](const Walk& walk, int stage) {
    if (walk.unit >= units) return;
    const uint32_t full = ptx::shared_address(&shared.full[stage]);
    const int first_row = walk.unit % args.bands * args.band_rows - 1;
    uint32_t to = ptx::shared_address(shared.a[stage]);
    ptx::barrier_arrive_expect(full, L::kBlocks * L::kPlanes * L::kPlaneBytes);
    for (int block = 0; block < L::kBlocks; ++block) {
      for (int plane = 0; plane < L::kPlanes; ++plane) {
        ptx::copy_box(to, &args.input, full, block * kBlockChannels, 0,
                      first_row + L::kStepRows * walk.step, walk.unit / args.bands, plane);
        to += L::kPlaneBytes;
      }
    }
  };

  ptx::wait_for_steps_before();
  Walk now = {static_cast<int>(blockIdx.x), 0}, ahead = now;
  if (threadIdx.x == 0) {
    for (uint64_t& barrier : shared.full) ptx::barrier_init(ptx::shared_address(&barrier), 1);
    const uint32_t weights_full = ptx::shared_address(&shared.weights_full);
    ptx::barrier_init(weights_full, 1);
    ptx::barrier_init_fence();
    ptx::barrier_arrive_expect(weights_full, sizeof(shared.weights));
    ptx::copy_bytes(ptx::shared_address(shared.weights), args.weights, sizeof(shared.weights),
                    weights_full);
    for (int stage = 0; stage < kStages; ++stage) {
      fetch(ahead, stage);
      ahead.advance(steps);
    }
  }
  __syncthreads();
  ptx::barrier_wait(ptx::shared_address(&shared.weights_full), 0);

  const uint64_t b_start = ptx::tile_descriptor(ptx::shared_address(shared.weights));
  int stage = 0;
  uint32_t parity = 0;
  int ring = 0;  // ring row of this step's first input row
  for (; now.unit < units; now.advance(steps)) {
    ptx::barrier_wait(ptx::shared_address(&shared.full[stage]), parity);
    const uint64_t a_start =
        ptx::tile_descriptor(ptx::shared_address(shared.a[stage]) + warp / 4 * 64 * 128);
    float sums[L::kColumns / 2] = {};
    ptx::wgmma_fence();
#pragma unroll
    for (int block = 0; block < L::kBlocks; ++block) {
      const uint64_t a = a_start + (block * L::kPlanes * L::kPlaneBytes >> 4);
      const uint64_t b = b_start + (block * L::kPlanes * L::kWeightBytes >> 4);
#pragma unroll
      for (int k = 0; k < kBlockChannels / 16; ++k) {
        ptx::wgmma<L::kColumns, L::kHalf>(sums, a + 2 * k, b + 2 * k);
        if constexpr (!L::kHalf) {
          ptx::wgmma<L::kColumns, L::kHalf>(sums, a + (L::kPlaneBytes >> 4) + 2 * k, b + 2 * k);
          ptx::wgmma<L::kColumns, L::kHalf>(sums, a + 2 * k, b + (L::kWeightBytes >> 4) + 2 * k);
        }
      }
    }
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>();
    // Pixel of the step whose products this thread has, and the one 8 further.
    const int pixel = warp * 16 + lane / 4;
    float* to = &shared.products[2 * (lane % 4)][ring * L::kWidth + pixel];
#pragma unroll
    for (int c = 0; c < L::kColumns / 8; ++c) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        if (8 * c + 2 * (lane % 4) + e < L::kUsedColumns) {
          to[(8 * c + e) * L::kPitch] = sums[4 * c + e];
          to[(8 * c + e) * L::kPitch + 8] = sums[4 * c + 2 + e];
        }
      }
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      fetch(ahead, stage);
      ahead.advance(steps);
    }
    // Rows i - 1 to i + 1 are there for the rows from the last one before this step on, as many as
    // the step has. Half of the warps have their upper outputs, half the lower ones.
    constexpr int kHalfWarps = L::kThreads / 64;
    const int in_half = warp % kHalfWarps, row = in_half % L::kStepRows;
    const int n = now.unit / args.bands, band_start = now.unit % args.bands * args.band_rows;
    const int i = band_start - 2 + L::kStepRows * now.step + row;
    const int j = in_half / L::kStepRows * 32 + lane;
    if (i >= band_start && i < min(band_start + args.band_rows, args.in_h)) {
      if (warp < kHalfWarps) {
        add_products<L, 0>(args, shared, ring - 1 + row, n, i, j);
      } else {
        add_products<L, 1>(args, shared, ring - 1 + row, n, i, j);
      }
    }
    __syncthreads();
    ring = (ring + L::kStepRows) % L::kRingRows;
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
}

template <class L>
void launch_layer(const ScatterArguments& arguments, int multiprocessors, cudaStream_t stream) {
  constexpr int kBytes = sizeof(typename L::Shared);
  const int ctas = std::min(L::kCtas * multiprocessors, arguments.images * arguments.bands);
  launch(hopper_scatter<L>, dim3(static_cast<unsigned>(ctas)), L::kThreads, kBytes, arguments.images,
         stream, arguments);
}

// Rows as the kernel's columns, 128-byte swizzle: (block of 64 channels, plane, row).
template <class L>
std::vector<uint16_t> pack(const Step& step) {
  constexpr int kPlane = L::kColumns * kBlockChannels;
  std::vector<uint16_t> packed(static_cast<std::size_t>(L::kBlocks) * L::kPlanes * kPlane, 0);
  for (int tap = 0; tap < L::kKernel * L::kKernel; ++tap) {
    for (int o = 0; o < step.out.c; ++o) {
      const int r = tap * kChannels + o;
      for (int c = 0; c < step.in.c; ++c) {
        const int64_t row = int64_t{o} * L::kKernel * L::kKernel + tap;
        const float value = step.weight[row * step.in.c + c];
        const int k = c % kBlockChannels;
        uint16_t* to = packed.data() + c / kBlockChannels * L::kPlanes * kPlane + r * kBlockChannels +
                       ((k / 8) ^ (r % 8)) * 8 + k % 8;
        *to = L::kHalf ? half_bits(value) : bfloat16_bits(value);
        if (!L::kHalf) to[kPlane] = bfloat16_bits(value - bfloat16_value(*to));
      }
    }
  }
  return packed;
}

// Calls `function` with the Variant of a kernel of this size.
template <class Function>
void with_layer(int kernel, bool half, const Function& function) {
  if (kernel == 5) {
    half ? function(Variant<5, 32, 1, true>{}) : function(Variant<5, 32, 1, false>{});
  } else {
    half ? function(Variant<4, 128, 2, true>{}) : function(Variant<4, 128, 2, false>{});
  }
}

class Scatter final : public Layer {
 public:
  explicit Scatter(const GemmSpec& spec) : Layer(spec) {
    with_layer(step_.kernel_h, half_, [&](auto layer) {
      fixed_.weights = keep_packed(pack<decltype(layer)>(spec.step));
    });
    const View& out = step_.out;
    fixed_.bias = step_.bias;
    fixed_.in_h = step_.in.h;
    fixed_.channels = out.c;
    fixed_.activation = step_.epilogue.activation;
    fixed_.slope = step_.epilogue.alpha;
    fixed_.out_pixel_stride = out.pixel_stride;
    fixed_.out_row_stride = out.pixel_stride * out.w;
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    ScatterArguments args = fixed_;
    const Box box = step_.kernel_h == 5 ? Box{5, 1, 0} : Box{7, 0, 0};  // of a step
    args.input = input_map(step_.in, operands.in, images, box, 1, 1);
    args.images = static_cast<int32_t>(images);
    // Fewer images than CTAs: bands, each of which reads two rows of its neighbours again.
    args.bands = 1;
    args.band_rows = step_.in.h;
    while (args.images * args.bands < 2 * multiprocessors_ && args.band_rows % 4 == 0) {
      args.bands *= 2;
      args.band_rows /= 2;
    }
    args.out = static_cast<float*>(operands.out.data);
    args.out_image_stride = operands.out.image_stride;
    args.pairs = args.channels == kChannels && args.out_pixel_stride == kChannels &&
                 args.out_image_stride % 2 == 0 && reinterpret_cast<uintptr_t>(args.out) % 8 == 0;
    with_layer(step_.kernel_h, half_,
               [&](auto layer) { launch_layer<decltype(layer)>(args, multiprocessors_, stream); });
  }

 private:
  ScatterArguments fixed_ = {};
};

}  // namespace

std::unique_ptr<Gemm> make_scatter(const GemmSpec& spec) { return std::make_unique<Scatter>(spec); }

}  // namespace facegen::cuda::hopper
