// Both expands of a fire module and the 3x3 max-pool of stride 2 behind it, on Hopper: what the
// module makes is four times the pool's output and never leaves the registers.
//
// Multiplied as expand.cuh says, pooled as pool_rows.cuh does. A warpgroup walks down
// an image, one row of the pool a step: three rows of the expands, of which the first is the last of
// the step before. Its four warps have a row. Bias and activation (none or ReLU) change no order,
// so they come after the pool.
//
// Of one or two images there are fewer rows of the pool than multiprocessors: a block has one of
// them, and three warpgroups a row of the expands each.
#include "cuda/hopper/fire/expand.cuh"
#include "cuda/hopper/parts/pool_rows.cuh"

namespace facegen::cuda::hopper {
namespace {

constexpr int kMaxima = kExpandColumns / 2;  // of a thread, of 3x3 and of 1x1
constexpr int kTogetherBytes = 2 * kTeamThreads * kMaxima * 4;

struct PoolArguments {
  ExpandArguments expand;
  bool together;  // a block makes one row of the pool
};

template <bool kHalf>
__device__ __forceinline__ void store_maxima(const Output& to, int64_t pixel, int first,
                                             const float (&pooled)[kMaxima / 2]) {
#pragma unroll
  for (int i = 0; i < kExpandColumns / 32; ++i) {
    const int channel = first + 32 * i + static_cast<int>(threadIdx.x) % 4 * 8;
    float largest[8], bias[8];
#pragma unroll
    for (int e = 0; e < 8; ++e) largest[e] = pooled[8 * i + e];
    load8(to.bias, channel, bias);
    finish(to, bias, largest);
    store<kHalf>(to, pixel + channel, largest);
  }
}

// The maxima of three warpgroups, of which the first gets the largest.
__device__ __forceinline__ void gather(float (&largest)[2][kMaxima / 2], float* others) {
  const int team = static_cast<int>(threadIdx.x) / kTeamThreads;
  float* const place = others + team_thread();
#pragma unroll
  for (int c = 0; c < kMaxima; ++c) {
    if (team > 0) place[((team - 1) * kMaxima + c) * kTeamThreads] = largest[c / 16][c % 16];
  }
  __syncthreads();
#pragma unroll
  for (int c = 0; c < 2 * kMaxima; ++c) {
    float& to = largest[c / 16 % 2][c % 16];
    if (team == 0) to = max_or_nan(to, place[c * kTeamThreads]);
  }
}

template <bool kHalf>
__global__ void __launch_bounds__(kMaxExpandTeams * kTeamThreads, 1)
    hopper_expand_pool(const __grid_constant__ PoolArguments pool_args) {
  extern __shared__ __align__(128) char memory[];
  const ExpandArguments& args = pool_args.expand;
  const Operand& out = args.to.out;
  const bool together = pool_args.together;
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
  const bool tight = shape.ring_rows < 4;
  const uint32_t a = find_a(shape, patch);
  const int x = team_warp() * kWarpPooled + block_pixel();  // of the pool
  const bool exists = block_pixel() < kWarpPooled && x < out.w;

  const int64_t all = int64_t{args.images} * out.h;
  const int64_t worker = together ? blockIdx.x : int64_t{blockIdx.x} * teams + team;
  const int64_t workers = together ? gridDim.x : int64_t{gridDim.x} * teams;
  const Share share(all, worker, workers);
  bool resumes = false;
  float largest[2][kExpandColumns / 4];  // of the rows so far, of 3x3 and of 1x1
  for (int step = share.first; step < share.end; ++step) {
    const int image = step / out.h, y = step % out.h;
    const bool starts = !resumes || y == 0;
    resumes = true;
    const bool goes_on = step + 1 < share.end && y + 1 < out.h;
    const auto find_pixel = [&] {
      return image * out.image_stride +
             (int64_t{y} * out.w + x) * out.pixel_stride;
    };
    const auto take_row = [&](const float (&sums)[kExpandColumns / 2], int of_window,
                              float (&so_far)[kMaxima / 2], int channel) {
      pool_row<kExpandColumns>(
          pool_blocks<kExpandColumns>, sums, so_far, of_window, [&](const auto& pooled) {
            if (exists) store_maxima<kHalf>(args.to, find_pixel(), channel, pooled);
          });
    };
    if (starts) {
      start_patch<kHalf>(args, image, 2 * y + (together ? team : 0), patch);
#pragma unroll
      for (int c = 0; c < kExpandColumns / 4; ++c) largest[0][c] = largest[1][c] = 0.0f;
      wait_for_weights(arrived);
      sync_team();
    }
    const int rows_end = together ? team + 1 : 3;
#pragma unroll 1
    for (int i = together ? team : starts ? 0 : 1; i < rows_end; ++i) {
      const int row = 2 * y + i, of_window = together ? 0 : i;
      const bool brings = !together && (i < 2 || goes_on);
      float sums[kExpandColumns / 2] = {};
      multiply_large<kHalf, kWarpPooled>(sums, args, a, row, b);
      take_row(sums, of_window, largest[0], channels.large);
      // On its way while the 1x1 is multiplied.
      Item items[kMaxPoolItems] = {};
      if (brings) fetch<kHalf>(args, image, row + 3, 1, items);
#pragma unroll
      for (float& sum : sums) sum = 0.0f;
      multiply_one<kHalf, kWarpPooled>(sums, args, a, row, b);
      if (tight) sync_team();  // the rows have been read
      if (brings) put<kHalf>(args, row + 3, 1, items, patch);
      take_row(sums, of_window, largest[1], channels.one);
      sync_team();
    }
    if (together) {
      gather(largest, reinterpret_cast<float*>(memory + args.weight_bytes + teams * shape.bytes));
      if (team == 0 && exists) {
        store_maxima<kHalf>(args.to, find_pixel(), channels.large, largest[0]);
        store_maxima<kHalf>(args.to, find_pixel(), channels.one, largest[1]);
      }
    }
  }
}

// Whether new rows can have room of their own without a warpgroup less.
bool has_spare(const Step& step, bool half) {
  return count_teams(make_patch(step.in, half, true), pair_bytes(step, half)) == kMaxExpandTeams;
}

class ExpandPool final : public ExpandLayer {
 public:
  explicit ExpandPool(const GemmSpec& spec)
      : ExpandLayer(spec, {}, has_spare(spec.step, spec.target.half())) {}

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    const int64_t steps = images * step_.out.h;
    const bool together =
        steps <= blocks_at_once() && shared_bytes(3) + kTogetherBytes <= kMostSharedBytes;
    const PoolArguments args = {arguments(images, operands), together};
    const auto kernel = half_ ? hopper_expand_pool<true> : hopper_expand_pool<false>;
    if (together) {
      launch_blocks(kernel, steps, 3, kTogetherBytes, images, stream, args);
    } else {
      launch_pieces(kernel, steps, images, stream, args);
    }
  }
};

}  // namespace

std::unique_ptr<Gemm> make_expand_pool(const GemmSpec& spec) {
  return std::make_unique<ExpandPool>(spec);
}

}  // namespace facegen::cuda::hopper
