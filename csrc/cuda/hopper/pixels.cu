// 1x1 convolutions to at most 64 channels on Hopper: squeezes of fire modules, scores of skips,
// last linear layers. They read much and multiply little, so what counts is that memory never waits.
//
// Every value of the input is multiplied by one warpgroup alone, so A goes from device memory
// straight to registers, 16 bytes a load: of 32 channels of a pixel, lane % 4 = q loads the 8 that
// start at 8 q, and in the sum's order, which is free, these are its places of two steps (see
// fragments.cuh):
//
//   place 8 s + 2 q + e of step 2 c + j  is  channel 32 c + 8 q + 4 j + 2 s + e
//
// A tile is 64 pixels of an image; of a linear layer, whose images are one pixel, 64 images. Each of
// the four warpgroups of a block has tiles of its own, and loads up to 128 channels at once: 128 KB
// are on their way to a multiprocessor. A softmax behind a linear layer is over channels that the
// four lanes of a pixel hold.
#include <algorithm>

#include "cuda/fit/pixels.h"
#include "cuda/layer.h"
#include "cuda/hopper/parts/fragments.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/output.cuh"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int kTilePixels = 64;
constexpr int kMaxTeams = 4;  // warpgroups
constexpr int kChunk = kPixelsChunk;

struct PixelsArguments {
  Operand in, add;  // add.data is null where there is none
  Output to;
  bool softmax;            // over at most 32 channels; neither addition nor activation
  const uint8_t* weights;  // as pack_steps makes them
  int32_t images, weight_bytes;
};

// Loads a thread's share of kChunks chunks as A of two steps each.
template <int kChunks>
__device__ __forceinline__ void load_chunks(const uint4* const (&from)[2],
                                            uint32_t (&a)[8 * kChunks]) {
  uint4 loaded[kChunks][2];
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
#pragma unroll
    for (int r = 0; r < 2; ++r) loaded[c][r] = __ldcg(from[r] + c * kChunk / 8);
  }
#pragma unroll
  for (int c = 0; c < kChunks; ++c) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      a[8 * c + r] = loaded[c][r].x;
      a[8 * c + 2 + r] = loaded[c][r].y;
      a[8 * c + 4 + r] = loaded[c][r].z;
      a[8 * c + 6 + r] = loaded[c][r].w;
    }
  }
}

// Bias, addition, activation and store; pixels[r] past the image's last: not there.
template <int kColumns, bool kHalf>
__device__ __forceinline__ void store_tile(const PixelsArguments& args,
                                           const float (&sums)[kColumns / 2], int image,
                                           const int (&pixels)[2]) {
#pragma unroll
  for (int i = 0; i < kColumns / 32; ++i) {
    const int c = 32 * i + static_cast<int>(threadIdx.x) % 4 * 8;
    if (c >= args.to.out.c) continue;
    float bias[8], v[8];
    load8(args.to.bias, c, bias);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (pixels[r] >= args.to.out.h * args.to.out.w) continue;
      take8(&sums[16 * i], r, v);
#pragma unroll
      for (int e = 0; e < 8; ++e) v[e] += bias[e];
      if (args.add.data != nullptr) {
        float other[8];
        load_run(args.add,
                 image * args.add.image_stride + pixels[r] * args.add.pixel_stride + c, other);
#pragma unroll
        for (int e = 0; e < 8; ++e) v[e] += other[e];
      }
#pragma unroll
      for (float& value : v) value = max_or_nan(value, args.to.least);
      store<kHalf>(args.to, image * args.to.out.image_stride + pixels[r] * args.to.out.pixel_stride + c, v);
    }
  }
}

// Bias, softmax and store of up to 32 channels.
__device__ __forceinline__ void store_softmax(const PixelsArguments& args, const float (&sums)[16],
                                              int image, const int (&pixels)[2]) {
  const int first = static_cast<int>(threadIdx.x) % 4 * 8;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float v[8], largest = -INFINITY, total = 0.0f;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      const bool exists = first + e < args.to.out.c;
      const float bias = exists && args.to.bias != nullptr ? __ldg(args.to.bias + first + e) : 0.0f;
      v[e] = exists ? sums[4 * (e / 2) + 2 * r + e % 2] + bias : -INFINITY;
      largest = max_or_nan(largest, v[e]);
    }
    for (const int lane : {1, 2}) {
      largest = max_or_nan(largest, __shfl_xor_sync(~0u, largest, lane));
    }
#pragma unroll
    for (int e = 0; e < 8; ++e) total += v[e] = expf(v[e] - largest);
    for (const int lane : {1, 2}) total += __shfl_xor_sync(~0u, total, lane);
    if (pixels[r] >= args.to.out.h * args.to.out.w) continue;
    const int64_t pixel = image * args.to.out.image_stride + pixels[r] * args.to.out.pixel_stride;
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      if (first + e < args.to.out.c) cuda::store(args.to.out, pixel + first + e, v[e] / total);
    }
  }
}

template <int kColumns, bool kHalf, int kChunks>
__global__ void __launch_bounds__(kMaxTeams * kTeamThreads, 1)
    hopper_pixels(const __grid_constant__ PixelsArguments args) {
  extern __shared__ __align__(128) char memory[];
  __shared__ uint64_t arrived;  // of the weights
  fetch_weights(arrived, memory, args.weights, args.weight_bytes);
  ptx::wait_for_steps_before();

  const int thread = static_cast<int>(threadIdx.x) % kTeamThreads;
  const int teams = static_cast<int>(blockDim.x) / kTeamThreads;
  const int map = args.in.h * args.in.w, of_image = (map + kTilePixels - 1) / kTilePixels;
  const int tiles = args.images * of_image;
  const int worker = static_cast<int>(blockIdx.x) * teams + static_cast<int>(threadIdx.x) / kTeamThreads;
  for (int tile = worker; tile < tiles; tile += static_cast<int>(gridDim.x) * teams) {
    const int image = tile / of_image;
    int pixels[2];
    const uint4* from[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      pixels[r] = tile % of_image * kTilePixels + thread / 32 * 16 + thread % 32 / 4 + 8 * r;
      const int exists = min(pixels[r], map - 1);
      from[r] = reinterpret_cast<const uint4*>(args.in.data) +
                (image * args.in.image_stride + exists * args.in.pixel_stride) / 8 + thread % 4;
    }
    float sums[kColumns / 2] = {};
    uint32_t b = core_matrices(ptx::shared_address(memory));
#pragma unroll 1  // else the compiler puts the products one after another
    for (int c = 0; c < args.in.c; c += kChunks * kChunk) {
      uint32_t hi[8 * kChunks], lo[8 * kChunks];
      load_chunks<kChunks>(from, hi);
      if constexpr (!kHalf) {
        const uint4* const second[2] = {from[0] + args.in.plane / 8, from[1] + args.in.plane / 8};
        load_chunks<kChunks>(second, lo);
      }
      wait_for_weights(arrived);
      multiply_steps<kColumns, kHalf, 2 * kChunks>(sums, hi, lo, b);
      b += 2 * kChunks * (step_bytes(kColumns, kHalf) >> 4);
      from[0] += kChunks * kChunk / 8;
      from[1] += kChunks * kChunk / 8;
    }
    if constexpr (kColumns == 32) {
      if (args.softmax) {
        store_softmax(args, sums, image, pixels);
        continue;
      }
    }
    store_tile<kColumns, kHalf>(args, sums, image, pixels);
  }
}

// Images of one pixel as an image of many.
void join_images(Operand& operand, int64_t images) {
  operand.w = static_cast<int32_t>(images);
  operand.pixel_stride = operand.image_stride;
}

class Pixels final : public Layer {
 public:
  explicit Pixels(const GemmSpec& spec) : Layer(spec) {
    columns_ = step_.out.c <= 32 ? 32 : 64;
    const auto weight = [&](int step, int place, int n) {
      const int channel = neighbouring_channel(n);
      const int input =
          step / 2 * kChunk + place % 8 / 2 * 8 + step % 2 * 4 + place / 8 * 2 + place % 2;
      return channel < step_.out.c ? spec.step.weight[int64_t{channel} * step_.in.c + input] : 0.0f;
    };
    const std::vector<uint16_t> packed = pack_steps(step_.in.c / 16, columns_, half_, weight);
    fixed_.weights = keep_packed(packed);
    fixed_.weight_bytes = static_cast<int32_t>(packed.size() * 2);
    fixed_.softmax = spec.step.finish != nullptr;
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    PixelsArguments args = fixed_;
    args.in = make_operand(step_.in, operands.in);
    args.to = make_output(step_, operands.out);
    args.add = make_operand(step_.epilogue.other, operands.add);
    args.images = static_cast<int32_t>(images);
    if (is_linear(step_)) {
      for (Operand* operand : {&args.in, &args.to.out, &args.add}) join_images(*operand, images);
      args.images = 1;
    }
    const int64_t of_image = divide_up(args.in.h * args.in.w, kTilePixels);
    const int64_t tiles = args.images * of_image;
    const int teams = spread_teams(tiles, multiprocessors_, kMaxTeams);
    const int64_t blocks = std::min<int64_t>(divide_up(tiles, teams), multiprocessors_);
    launch(kernel(), dim3(static_cast<unsigned>(blocks)), teams * kTeamThreads,
           static_cast<std::size_t>(fixed_.weight_bytes), images, stream, args);
  }

 private:
  using Kernel = void (*)(PixelsArguments);

  template <int kColumns>
  Kernel of_columns() const {
    if (step_.in.c % (4 * kChunk) == 0) {
      return half_ ? hopper_pixels<kColumns, true, 4> : hopper_pixels<kColumns, false, 4>;
    }
    return half_ ? hopper_pixels<kColumns, true, 3> : hopper_pixels<kColumns, false, 3>;
  }
  Kernel kernel() const { return columns_ == 32 ? of_columns<32>() : of_columns<64>(); }

  int columns_ = 0;
  PixelsArguments fixed_ = {};
};

}  // namespace

std::unique_ptr<Gemm> make_pixels(const GemmSpec& spec) {
  return std::make_unique<Pixels>(spec);
}

}  // namespace facegen::cuda::hopper
