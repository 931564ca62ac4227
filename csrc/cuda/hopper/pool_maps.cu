// A convolution of 32, 64, ... channels and stride 1, and the 2x2 max-pool of stride 2 behind it,
// on Hopper: LeNet's conv2. What the convolution makes never leaves the registers.
//
// A tile is 8 x 8 pixels of the convolution. The copy engine brings the patch of the input that
// they read into shared memory, each value once, in planes of 32 channels (64 bytes a pixel), and
// zeros for what lies outside the map. A goes from there to registers, 16 bytes a load: of 32
// channels of a pixel, lane % 4 = q loads the 8 that start at 8 q, and in the sum's order, which is
// free, these are its places of two steps:
//
//   place 8 s + 2 q + e of step 2 c + j  is  channel 8 q + 4 j + 2 s + e of slice c
//
// A slice is 32 channels of a tap; columns of the kernel are taken one after another. A warp has
// two rows of the tile, lane 4 g + q the pixels (0, g) and (1, g) of them: what is the second pixel
// for a tap is the first for the tap below, and loaded once. The largest of four pixels is taken
// between two registers and two lanes.
//
// All weights that a block multiplies stay in its shared memory: those of 32 or, in float16, 64
// channels out.
//
// Each warpgroup of a block has tiles and a patch of its own: while one waits for its next patch,
// or stores, the others multiply.
#include <algorithm>

#include "cuda/fit/pooled.h"
#include "cuda/layer.h"
#include "cuda/generic/element.cuh"
#include "cuda/hopper/parts/fragments.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/map.h"
#include "cuda/hopper/parts/output.cuh"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int kTile = kMapTile, kPixelBytes = kSliceBytes, kMaxTeams = kMaxMapTeams;

struct MapsArguments {
  CUtensorMap input;
  Output to;
  const uint8_t* weights;  // of every group of columns as pack_steps makes them
  int32_t weight_bytes;    // of a group
  int32_t images, tiles_y, tiles_x;
  int32_t top, left;      // of the input's row and pixel that the first tap reads
  int32_t taps_h, taps_w, chunks;  // chunks: of 32 channels
  int32_t patch_w, copied_bytes, plane_bytes;  // of a chunk's plane in device and in shared memory
};

struct MapTile {
  int image, y, x;  // of the convolution's first pixel
};

__device__ inline MapTile find_tile(const MapsArguments& args, int number) {
  const int of_image = args.tiles_y * args.tiles_x, rest = number % of_image;
  return {number / of_image, rest / args.tiles_x * kTile, rest % args.tiles_x * kTile};
}

template <bool kHalf>
__device__ void fetch_patch(const MapsArguments& args, int number, uint32_t patch,
                            uint32_t arrived) {
  constexpr int kPlanes = kHalf ? 1 : 2;
  const MapTile tile = find_tile(args, number);
  ptx::barrier_arrive_expect(arrived, args.chunks * kPlanes * args.copied_bytes);
  for (int chunk = 0; chunk < args.chunks; ++chunk) {
    for (int plane = 0; plane < kPlanes; ++plane) {
      ptx::copy_box(patch, &args.input, arrived, chunk * kSlice, tile.x + args.left,
                    tile.y + args.top, tile.image, plane);
      patch += args.plane_bytes;
    }
  }
}

// Eight channels of a pixel.
struct Eight {
  uint4 hi, lo;
};

template <bool kHalf>
__device__ __forceinline__ Eight load_eight(uint32_t from, uint32_t plane) {
  Eight eight = {};
  eight.hi = ptx::load_shared16(from);
  if constexpr (!kHalf) eight.lo = ptx::load_shared16(from + plane);
  return eight;
}

// A of a slice's two steps, from the thread's two pixels.
__device__ __forceinline__ void arrange(const Eight& first, const Eight& second, uint32_t* hi,
                                        uint32_t* lo) {
  const auto put = [](const uint4& a, const uint4& b, uint32_t* to) {
    to[0] = a.x, to[2] = a.y, to[4] = a.z, to[6] = a.w;
    to[1] = b.x, to[3] = b.y, to[5] = b.z, to[7] = b.w;
  };
  put(first.hi, second.hi, hi);
  put(first.lo, second.lo, lo);
}

// sums += the taps of one column of the kernel, of 32 channels. Pixels are loaded once for two
// taps: the second of one is the first of the tap below.
template <int kColumns, bool kHalf>
__device__ __forceinline__ void multiply_column(const MapsArguments& args, uint32_t pixel,
                                                uint32_t& b, float (&sums)[kColumns / 2]) {
  const uint32_t row = args.patch_w * kPixelBytes, plane = args.plane_bytes;
  uint32_t hi[8], lo[8];
  Eight first = load_eight<kHalf>(pixel, plane);
#pragma unroll 1  // else the compiler puts the products one after another
  for (int tap = 0; tap < args.taps_h; ++tap) {
    pixel += row;
    const Eight second = load_eight<kHalf>(pixel, plane);
    arrange(first, second, hi, lo);
    multiply_steps<kColumns, kHalf, 2>(sums, hi, lo, b);
    b += 2 * (step_bytes(kColumns, kHalf) >> 4);
    first = second;
  }
}

// The largest of each four pixels, finished and stored. Two lanes have the four: the eight channels
// of every other 32 are stored by the first, the rest by the second.
template <int kColumns, bool kHalf>
__device__ __forceinline__ void store_tile(const MapsArguments& args, const MapTile& tile,
                                           const float (&sums)[kColumns / 2]) {
  const int thread = static_cast<int>(threadIdx.x) % kTeamThreads, g = thread % 32 / 4;
  const int y = tile.y / 2 + thread / 32, x = tile.x / 2 + g / 2;
  const bool exists = y < args.to.out.h && x < args.to.out.w;
  const int64_t pixel = tile.image * args.to.out.image_stride +
                        (int64_t{y} * args.to.out.w + x) * args.to.out.pixel_stride;
#pragma unroll
  for (int i = 0; i < kColumns / 32; ++i) {
    float v[8];
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      const float* sum = &sums[16 * i + 4 * (e / 2) + e % 2];
      v[e] = max_or_nan(sum[0], sum[2]);
      v[e] = max_or_nan(v[e], __shfl_xor_sync(~0u, v[e], 4));
    }
    const int channel = static_cast<int>(blockIdx.y) * kColumns + 32 * i + 8 * (thread % 4);
    if (g % 2 != i % 2 || !exists || channel >= args.to.out.c) continue;
    float bias[8];
    load8(args.to.bias, channel, bias);
    finish(args.to, bias, v);
    store<kHalf>(args.to, pixel + channel, v);
  }
}

template <int kColumns, bool kHalf>
__global__ void __launch_bounds__(kMaxTeams * kTeamThreads, 1)
    hopper_pool_maps(const __grid_constant__ MapsArguments args) {
  constexpr int kPlanes = kHalf ? 1 : 2;
  extern __shared__ __align__(128) char memory[];
  __shared__ uint64_t weights_arrived, patch_arrived[kMaxTeams];
  const int team = static_cast<int>(threadIdx.x) / kTeamThreads;
  const int teams = static_cast<int>(blockDim.x) / kTeamThreads;
  const int thread = static_cast<int>(threadIdx.x) % kTeamThreads;
  const uint32_t arrived = ptx::shared_address(&patch_arrived[team]);
  if (thread == 0) ptx::barrier_init(arrived, 1);
  ptx::barrier_init_fence();
  fetch_weights(weights_arrived, memory, args.weights + int64_t{blockIdx.y} * args.weight_bytes,
                args.weight_bytes);
  ptx::wait_for_steps_before();

  const uint32_t patch = ptx::shared_address(memory) + args.weight_bytes +
                         team * args.chunks * kPlanes * args.plane_bytes;
  const uint32_t lane = patch + (thread / 32 * 2 * args.patch_w + thread % 32 / 4) * kPixelBytes +
                        thread % 4 * 16;
  const int tiles = args.images * args.tiles_y * args.tiles_x;
  // Neighbouring tiles go to different blocks: the last ones are then spread over all of them.
  const int stride = static_cast<int>(gridDim.x) * teams;
  int number = team * static_cast<int>(gridDim.x) + static_cast<int>(blockIdx.x);
  if (thread == 0 && number < tiles) fetch_patch<kHalf>(args, number, patch, arrived);
  wait_for_weights(weights_arrived);
  for (uint32_t parity = 0; number < tiles; number += stride, parity ^= 1) {
    ptx::barrier_wait(arrived, parity);
    float sums[kColumns / 2] = {};
    uint32_t b = core_matrices(ptx::shared_address(memory));
#pragma unroll 1
    for (int chunk = 0; chunk < args.chunks; ++chunk) {
#pragma unroll 1
      for (int x = 0; x < args.taps_w; ++x) {
        multiply_column<kColumns, kHalf>(
            args, lane + chunk * kPlanes * args.plane_bytes + x * kPixelBytes, b, sums);
      }
    }
    ptx::sync_threads(1 + team, kTeamThreads);  // all have read the patch
    if (thread == 0 && number + stride < tiles) {
      fetch_patch<kHalf>(args, number + stride, patch, arrived);
    }
    store_tile<kColumns, kHalf>(args, find_tile(args, number), sums);
  }
}

class PoolMaps final : public Layer {
 public:
  explicit PoolMaps(const GemmSpec& spec) : Layer(spec), plan_(plan_maps(step_, half_)) {
    fixed_.weights = keep_packed(pack(spec.step.weight));
    fixed_.weight_bytes = plan_.weight_bytes;
    fixed_.tiles_y = divide_up(2 * step_.out.h, kTile);
    fixed_.tiles_x = divide_up(2 * step_.out.w, kTile);
    fixed_.top = spec.step.phases[0].y.base;
    fixed_.left = spec.step.phases[0].x.base;
    fixed_.taps_h = step_.kernel_h;
    fixed_.taps_w = step_.kernel_w;
    fixed_.chunks = step_.in.c / kSlice;
    fixed_.patch_w = plan_.patch_w;
    fixed_.copied_bytes = plan_.patch_h * plan_.patch_w * kPixelBytes;
    fixed_.plane_bytes = plan_.plane_bytes;
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    MapsArguments args = fixed_;
    args.input = patch_map(step_.in, operands.in, images, kSlice, plan_.patch_h, plan_.patch_w);
    args.to = make_output(step_, operands.out);
    args.images = static_cast<int32_t>(images);
    const int64_t tiles = images * fixed_.tiles_y * fixed_.tiles_x;
    const int groups = divide_up(step_.out.c, plan_.columns);
    const int64_t at_once = std::max(multiprocessors_ / groups, 1);
    const int teams = spread_teams(tiles, at_once, plan_.teams);
    const dim3 grid(static_cast<unsigned>(std::min(tiles, at_once)), static_cast<unsigned>(groups));
    launch(kernel(), grid, teams * kTeamThreads,
           static_cast<std::size_t>(plan_.weight_bytes + teams * plan_.team_bytes), images, stream,
           args);
  }

 private:
  auto kernel() const -> void (*)(MapsArguments) {
    if (!half_) return hopper_pool_maps<32, false>;
    return plan_.columns == 32 ? hopper_pool_maps<32, true> : hopper_pool_maps<64, true>;
  }

  std::vector<uint16_t> pack(const float* weights) const {
    const int taps = step_.kernel_h * step_.kernel_w, channels = step_.in.c;
    std::vector<uint16_t> all;
    for (int first = 0; first < step_.out.c; first += plan_.columns) {
      const auto weight = [&](int step, int place, int n) {
        const int out = first + neighbouring_channel(n), slice = step / 2;
        const int channel = slice / taps * kSlice + place % 8 / 2 * 8 + step % 2 * 4 +
                            place / 8 * 2 + place % 2;
        const int y = slice % step_.kernel_h, x = slice % taps / step_.kernel_h;
        const int tap = y * step_.kernel_w + x;
        return out < step_.out.c ? weights[(out * taps + tap) * channels + channel] : 0.0f;
      };
      const std::vector<uint16_t> packed =
          pack_steps(2 * taps * channels / kSlice, plan_.columns, half_, weight);
      all.insert(all.end(), packed.begin(), packed.end());
    }
    return all;
  }

  MapsPlan plan_;
  MapsArguments fixed_ = {};
};

}  // namespace

std::unique_ptr<Gemm> make_pool_maps(const GemmSpec& spec) {
  return std::make_unique<PoolMaps>(spec);
}

}  // namespace facegen::cuda::hopper
