// Both expands of a fire module, 1x1 and 3x3, that read the squeezed map and write side by side,
// on Hopper: nn/fit/siblings.py has joined them. expand.cuh says how they multiply.
//
// Every warpgroup walks down the images by itself, a tile of up to 64 pixels (whole rows) at a
// time: while one stores, the others multiply. What the next tile adds to the patch is loaded into
// registers while this one is multiplied.
#include "cuda/hopper/fire/expand.cuh"
#include "cuda/runtime/error.h"

namespace facegen::cuda {
namespace hopper {
namespace {

// Bias, activation and store of a warpgroup's tile; pixels[r] < 0: not there.
template <bool kHalf>
__device__ __forceinline__ void store_tile(const ExpandArguments& args,
                                           const float (&sums)[kExpandColumns / 2],
                                           const int64_t (&pixels)[2], int channel) {
#pragma unroll
  for (int i = 0; i < kExpandColumns / 32; ++i) {
    const int c = channel + 32 * i + static_cast<int>(threadIdx.x) % 4 * 8;
    float bias[8] = {};
    if (args.bias != nullptr) load8(args.bias + c, bias);
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (pixels[r] < 0) continue;
      float v[8];
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        v[e] = sums[16 * i + 4 * (e / 2) + 2 * r + e % 2] + bias[e];
        if (args.relu) v[e] = v[e] < 0.0f ? 0.0f : v[e];
      }
      store<kHalf>(args.out.format, args.out.data, args.out.plane, pixels[r] + c, v);
    }
  }
}

template <bool kHalf>
__global__ void __launch_bounds__(kMaxExpandTeams * kTeamThreads, 1)
    hopper_expand(const __grid_constant__ ExpandArguments args) {
  extern __shared__ __align__(128) char memory[];
  const int teams = static_cast<int>(blockDim.x) / kTeamThreads;
  const int team = static_cast<int>(threadIdx.x) / kTeamThreads;
  __shared__ uint64_t arrived;  // of the weights
  fetch_weights(arrived, memory, args.weights + int64_t{blockIdx.y} * args.weight_bytes,
                args.weight_bytes);
  const ChannelPair channels = args.channels[blockIdx.y];
  ptx::wait_for_steps_before();

  const PatchShape& shape = args.patch;
  char* const patch = memory + args.weight_bytes + team * shape.bytes;
  const uint32_t b = core_matrices(ptx::shared_address(memory));
  const auto sync_team = [team] { ptx::sync_threads(1 + team, kTeamThreads); };
  const uint32_t a = find_a(shape, patch);
  // The thread's first pixel of a tile; the second is 8 further right.
  const int row = team_warp() / shape.warps_a_row;
  const int column = team_warp() % shape.warps_a_row * 16 + team_thread() % 32 / 4;

  const int of_image = (args.in.h + shape.tile_rows - 1) / shape.tile_rows;
  const int64_t all = int64_t{args.images} * of_image;
  const int64_t worker = int64_t{blockIdx.x} * teams + team, workers = int64_t{gridDim.x} * teams;
  const auto first = static_cast<int>(all * worker / workers);
  const auto end = static_cast<int>(all * (worker + 1) / workers);
  for (int tile = first; tile < end; ++tile) {
    const int image = tile / of_image, y0 = tile % of_image * shape.tile_rows;
    if (tile == first || y0 == 0) {
      start_patch<kHalf>(args, image, y0, patch);
      wait_for_weights(arrived);
      sync_team();
    }
    const bool goes_on = tile + 1 < end && y0 + shape.tile_rows < args.in.h;
    Item items[kMaxExpandItems] = {};
    if (goes_on) {
      fetch<kHalf>(args, image, y0 + shape.tile_rows + 2, shape.tile_rows, items);
    }
    int64_t pixels[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      pixels[r] = y0 + row < args.in.h && column + 8 * r < args.in.w
                      ? image * args.out.image_stride +
                            ((y0 + row) * args.in.w + column + 8 * r) * args.out.pixel_stride
                      : -1;
    }
    float sums[kExpandColumns / 2] = {};
    multiply_large<kHalf>(sums, args, a, y0, b);
    store_tile<kHalf>(args, sums, pixels, channels.large);
#pragma unroll
    for (float& sum : sums) sum = 0.0f;
    multiply_one<kHalf>(sums, args, a, y0, b);
    sync_team();  // the rows have been read
    if (goes_on) {
      put<kHalf>(args, y0 + shape.tile_rows + 2, shape.tile_rows, items, patch);
    }
    store_tile<kHalf>(args, sums, pixels, channels.one);
    sync_team();
  }
}

class HopperExpand final : public ExpandLayer {
 public:
  explicit HopperExpand(const GemmSpec& spec) : ExpandLayer(spec, {}, false) {
    FACEGEN_CUDA_CHECK(cudaFuncSetAttribute(half_ ? hopper_expand<true> : hopper_expand<false>,
                                            cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            kMostSharedBytes));
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    const ExpandArguments args = arguments(images, step_.out, operands);
    const int tile_rows = args.patch.tile_rows;
    const int64_t tiles = images * ((step_.in.h + tile_rows - 1) / tile_rows);
    launch_pieces(half_ ? hopper_expand<true> : hopper_expand<false>, tiles, images, stream, args);
  }

};

}  // namespace
}  // namespace hopper

std::unique_ptr<Gemm> make_hopper_expand(const GemmSpec& spec) {
  return std::make_unique<hopper::HopperExpand>(spec);
}

}  // namespace facegen::cuda
