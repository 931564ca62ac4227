// Both expands of a fire module, 1x1 and 3x3, that read the squeezed map and write side by side, on
// Hopper (nn/fit/siblings.py has joined them); by themselves, or with the squeeze of the next
// module. expand.cuh says how they multiply.
//
// Every warpgroup walks down the images by itself, a tile of up to 64 pixels (whole rows) at a
// time: while one stores, the others multiply. What the next tile adds to the patch is loaded into
// registers while this one is multiplied.
//
// The 128 channels of a pixel that the expands make are all of the squeeze's sum, and never leave the
// registers: the sums of a thread lie as A must for the next product, of each 8 columns two
// neighbours of each of its two pixels. So bias, activation and the split into operands are all that
// comes between. Columns of the first product are places of the second:
//
//   step s, place p of the squeeze's sum  is  column 16 s + p of the 3x3, then of the 1x1
#include "cuda/hopper/fire/expand.cuh"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

struct TileArguments {
  ExpandArguments expand;
  Output squeezed;       // of the squeeze, if there is one
  int32_t expand_bytes;  // of the weights: those of the squeeze lie behind them
};

// --- what becomes of the sums of a tile: stored as they are -------------------------------------

template <bool kHalfOperands>
struct Plain {
  static constexpr bool kHalf = kHalfOperands;
  static constexpr int kItems = kMaxExpandItems;
  static constexpr bool kSpare = false;        // whether the patch has room for the next tile's rows
  static constexpr bool kFetchesEarly = true;  // whether these are fetched before the first product

  __device__ explicit Plain(const TileArguments&) {}

  __device__ static const Output& to(const TileArguments& args) { return args.expand.to; }

  // Takes the sums of 64 channels from `channel` on; pixels[r] < 0 is not there.
  __device__ void take(const TileArguments& args, const float (&sums)[kExpandColumns / 2], bool,
                       int channel, const int64_t (&pixels)[2]) {
    const Output& to = args.expand.to;
#pragma unroll
    for (int i = 0; i < kExpandColumns / 32; ++i) {
      const int c = channel + 32 * i + static_cast<int>(threadIdx.x) % 4 * 8;
      float bias[8], v[8];
      load8(to.bias, c, bias);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (pixels[r] < 0) continue;
        take8(&sums[16 * i], r, v);
        finish(to, bias, v);
        store<kHalf>(to, pixels[r] + c, v);
      }
    }
  }

  __device__ void end_tile(const TileArguments&, const int64_t (&)[2]) {}
};

// --- or multiplied by the squeeze -----------------------------------------------------------------

// Of kSqueezed columns, a thread has as many neighbouring channels as fit.
constexpr int squeezed_channel(int n, int columns) {
  return n % 8 / 2 * (columns / 4) + n / 8 * 2 + n % 2;
}

// Stores four neighbouring channels.
template <bool kHalf>
__device__ __forceinline__ void store4(const Operand& out, int64_t element, const float (&v)[4]) {
  if (out.format == Format::kFloat32) {
    *reinterpret_cast<float4*>(reinterpret_cast<float*>(out.data) + element) =
        make_float4(v[0], v[1], v[2], v[3]);
    return;
  }
  uint2 hi, lo;
  split_pair<kHalf>(v[0], v[1], hi.x, lo.x);
  split_pair<kHalf>(v[2], v[3], hi.y, lo.y);
  auto* to = reinterpret_cast<uint2*>(out.data + 2 * element);
  *to = hi;
  if constexpr (!kHalf) to[out.plane / 4] = lo;
}

template <int kSqueezed, bool kHalfOperands>
struct Squeeze {
  static constexpr bool kHalf = kHalfOperands;
  static constexpr int kItems = kMaxSqueezeItems;
  static constexpr bool kSpare = true;
  static constexpr bool kFetchesEarly = false;

  uint32_t b;  // of the 3x3's channels; those of the 1x1 lie behind
  float squeezed[kSqueezed / 2];

  __device__ static const Output& to(const TileArguments& args) { return args.squeezed; }

  __device__ explicit Squeeze(const TileArguments& args) {
    extern __shared__ __align__(128) char memory[];
    b = core_matrices(ptx::shared_address(memory) + args.expand_bytes);
    clear();
  }

  __device__ void clear() {
#pragma unroll
    for (float& sum : squeezed) sum = 0.0f;
  }

  // Adds the squeeze of 64 channels, which are finished first.
  __device__ void take(const TileArguments& args, const float (&sums)[kExpandColumns / 2],
                       bool of_one, int channel, const int64_t (&)[2]) {
    const Output& to = args.expand.to;
    uint32_t hi[4 * kSqueezeSteps], lo[4 * kSqueezeSteps];
#pragma unroll
    for (int i = 0; i < kExpandColumns / 32; ++i) {
      float bias[8];
      load8(to.bias, channel + 32 * i + static_cast<int>(threadIdx.x) % 4 * 8, bias);
#pragma unroll
      for (int j = 0; j < 4; ++j) {  // columns 32 i + 8 j on
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const float* sum = &sums[16 * i + 4 * j + 2 * r];
          const float of_pair[2] = {bias[2 * j], bias[2 * j + 1]};
          float pair[2] = {sum[0], sum[1]};
          finish(to, of_pair, pair);
          const int at = 8 * i + 4 * (j / 2) + 2 * (j % 2) + r;
          split_pair<kHalf>(pair[0], pair[1], hi[at], lo[at]);
        }
      }
    }
    const uint32_t further = of_one ? kSqueezeSteps * (step_bytes(kSqueezed, kHalf) >> 4) : 0;
    multiply_steps<kSqueezed, kHalf, kSqueezeSteps>(squeezed, hi, lo, b + further);
  }

  __device__ void end_tile(const TileArguments& args, const int64_t (&pixels)[2]) {
    const Output& to = args.squeezed;
#pragma unroll
    for (int i = 0; i < kSqueezed / 16; ++i) {  // runs of 4 channels
      const int channel = static_cast<int>(threadIdx.x) % 4 * (kSqueezed / 4) + 4 * i;
      if (channel >= to.out.c) continue;
      float bias[4] = {};
      if (to.bias != nullptr) {
        const float4 four = __ldg(reinterpret_cast<const float4*>(to.bias + channel));
        bias[0] = four.x, bias[1] = four.y, bias[2] = four.z, bias[3] = four.w;
      }
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (pixels[r] < 0) continue;
        const float* s = &squeezed[8 * i + 2 * r];
        float v[4] = {s[0], s[1], s[4], s[5]};
        finish(to, bias, v);
        store4<kHalf>(to.out, pixels[r] + channel, v);
      }
    }
    clear();
  }
};

// --- the walk -----------------------------------------------------------------------------------

template <class Finish>
__global__ void __launch_bounds__(kMaxExpandTeams * kTeamThreads, 1)
    hopper_expand(const __grid_constant__ TileArguments all_args) {
  constexpr bool kHalf = Finish::kHalf;
  extern __shared__ __align__(128) char memory[];
  const ExpandArguments& args = all_args.expand;
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

  const Operand& out = Finish::to(all_args).out;
  const int of_image = (args.in.h + shape.tile_rows - 1) / shape.tile_rows;
  const Share share(int64_t{args.images} * of_image, int64_t{blockIdx.x} * teams + team,
                    int64_t{gridDim.x} * teams);
  Finish finish(all_args);
  for (int tile = share.first; tile < share.end; ++tile) {
    const int image = tile / of_image, y0 = tile % of_image * shape.tile_rows;
    if (tile == share.first || y0 == 0) {
      start_patch<kHalf>(args, image, y0, patch);
      wait_for_weights(arrived);
      sync_team();
    }
    const bool goes_on = tile + 1 < share.end && y0 + shape.tile_rows < args.in.h;
    const int next = y0 + shape.tile_rows + 2;
    int64_t pixels[2];
    const auto find_pixels = [&] {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        pixels[r] = y0 + row < args.in.h && column + 8 * r < args.in.w
                        ? image * out.image_stride +
                              ((y0 + row) * args.in.w + column + 8 * r) * out.pixel_stride
                        : -1;
      }
    };
    Item items[Finish::kItems] = {};
    if (Finish::kFetchesEarly && goes_on) fetch<kHalf>(args, image, next, shape.tile_rows, items);
    if (!Finish::kSpare) find_pixels();
    float sums[kExpandColumns / 2] = {};
    multiply_large<kHalf>(sums, args, a, y0, b);
    finish.take(all_args, sums, false, channels.large, pixels);
    if constexpr (!Finish::kFetchesEarly) {
#pragma unroll
      for (Item& item : items) item = {};
      if (goes_on) fetch<kHalf>(args, image, next, shape.tile_rows, items);
    }
#pragma unroll
    for (float& sum : sums) sum = 0.0f;
    multiply_one<kHalf>(sums, args, a, y0, b);
    if (!Finish::kSpare) sync_team();  // the rows have been read
    if (goes_on) put<kHalf>(args, next, shape.tile_rows, items, patch);
    finish.take(all_args, sums, true, channels.one, pixels);
    if (Finish::kSpare) find_pixels();
    finish.end_tile(all_args, pixels);
    sync_team();
  }
}

class Expand : public ExpandLayer {
 public:
  explicit Expand(const GemmSpec& spec) : ExpandLayer(spec, {}, false) {}

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    launch_tiles(half_ ? hopper_expand<Plain<true>> : hopper_expand<Plain<false>>, images, stream,
                 {arguments(images, operands), {}, 0});
  }

 protected:
  Expand(const GemmSpec& spec, const std::vector<uint16_t>& squeeze)
      : ExpandLayer(spec, squeeze, true) {}

  void launch_tiles(void (*kernel)(TileArguments), int64_t images, cudaStream_t stream,
                    const TileArguments& args) const {
    launch_pieces(kernel, images * divide_up(step_.in.h, args.expand.patch.tile_rows), images,
                  stream, args);
  }
};

// B of the squeeze: the channels of the 3x3, then of the 1x1.
std::vector<uint16_t> pack_squeeze(const Step& squeeze, ChannelPair channels, bool half) {
  const int columns = squeeze_columns(squeeze);
  return pack_steps(2 * kSqueezeSteps, columns, half, [&](int step, int place, int n) {
    const int channel = squeezed_channel(n, columns);
    const int input = (step < kSqueezeSteps ? channels.large : channels.one) +
                      neighbouring_channel(step % kSqueezeSteps * 16 + place);
    return channel < squeeze.out.c ? squeeze.weight[channel * squeeze.in.c + input] : 0.0f;
  });
}

class ExpandSqueeze final : public Expand {
 public:
  explicit ExpandSqueeze(const GemmSpec& spec)
      : Expand(spec, pack_squeeze(*spec.step.finish, pair_channels(spec.step)[0],
                                  spec.target.half())),
        squeeze_(*spec.step.finish),
        expand_bytes_(pair_bytes(spec.step, half_)) {
    squeeze_.weight = nullptr;
    squeeze_.phases = nullptr;
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    launch_tiles(kernel(), images, stream,
                 {arguments(images, operands), make_output(squeeze_, operands.out), expand_bytes_});
  }

 private:
  auto kernel() const -> void (*)(TileArguments) {
    if (squeeze_columns(squeeze_) == 16) {
      return half_ ? hopper_expand<Squeeze<16, true>> : hopper_expand<Squeeze<16, false>>;
    }
    return half_ ? hopper_expand<Squeeze<32, true>> : hopper_expand<Squeeze<32, false>>;
  }

  Step squeeze_;
  int32_t expand_bytes_;
};

}  // namespace

std::unique_ptr<Gemm> make_expand(const GemmSpec& spec) { return std::make_unique<Expand>(spec); }

std::unique_ptr<Gemm> make_expand_squeeze(const GemmSpec& spec) {
  return std::make_unique<ExpandSqueeze>(spec);
}

}  // namespace facegen::cuda::hopper
