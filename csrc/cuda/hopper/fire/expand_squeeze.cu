// Both expands of a fire module and the squeeze of the next, on Hopper: the 128 channels that the
// module makes are the squeeze's sum, and never leave the registers.
//
// Multiplied as expand.cuh says. The sums of a thread lie as A must for the next product: of
// each 8 columns two neighbours of each of its two pixels. So bias, activation and the split into
// operands are all that comes between. Columns of the first product are places of the second:
//
//   step s, place p of the squeeze's sum  is  column 16 s + p of the 3x3, then of the 1x1
//
// Every warpgroup walks down the images by itself, as in expand.cu.
#include "cuda/hopper/fire/expand.cuh"
#include "cuda/runtime/error.h"

namespace facegen::cuda {
namespace hopper {
namespace {

struct SqueezeArguments {
  ExpandArguments expand;  // its output is the squeeze's
  const float* bias;
  bool relu;
  int32_t expand_bytes;  // of the weights
};

__device__ __forceinline__ float relu_if(bool relu, float x) {
  return relu ? ptx::max_or_nan(x, 0.0f) : x;
}

// Two neighbouring places of the sum, as operands.
template <bool kHalf>
__device__ __forceinline__ void split_pair(float x, float y, uint32_t& hi, uint32_t& lo) {
  if constexpr (kHalf) {
    hi = bits(__floats2half2_rn(x, y));
  } else {
    hi = bits(__floats2bfloat162_rn(x, y));
    lo = bits(__floats2bfloat162_rn(x - __uint_as_float(hi << 16),
                                    y - __uint_as_float(hi & 0xFFFF0000)));
  }
}

// squeezed += the squeeze of 64 channels, which are finished first.
template <int kSqueezed, bool kHalf>
__device__ __forceinline__ void squeeze(const ExpandArguments& args,
                                        const float (&sums)[kExpandColumns / 2], int channel,
                                        uint32_t b, float (&squeezed)[kSqueezed / 2]) {
  uint32_t hi[4 * kSqueezeSteps], lo[4 * kSqueezeSteps];
#pragma unroll
  for (int i = 0; i < kExpandColumns / 32; ++i) {
    float bias[8] = {};
    if (args.bias != nullptr) {
      load8(args.bias + channel + 32 * i + static_cast<int>(threadIdx.x) % 4 * 8, bias);
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {  // columns 32 i + 8 j on
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const float* pair = &sums[16 * i + 4 * j + 2 * r];
        const int at = 8 * i + 4 * (j / 2) + 2 * (j % 2) + r;
        split_pair<kHalf>(relu_if(args.relu, pair[0] + bias[2 * j]),
                          relu_if(args.relu, pair[1] + bias[2 * j + 1]), hi[at], lo[at]);
      }
    }
  }
  multiply_steps<kSqueezed, kHalf, kSqueezeSteps>(squeezed, hi, lo, b);
}

// Of kSqueezed columns, a thread has as many neighbouring channels as fit.
constexpr int squeezed_channel(int n, int columns) {
  return n % 8 / 2 * (columns / 4) + n / 8 * 2 + n % 2;
}

// Four neighbouring channels.
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

template <int kSqueezed, bool kHalf>
__device__ __forceinline__ void store_squeezed(const SqueezeArguments& args,
                                               const float (&sums)[kSqueezed / 2],
                                               const int64_t (&pixels)[2]) {
  const Operand& out = args.expand.out;
#pragma unroll
  for (int i = 0; i < kSqueezed / 16; ++i) {  // runs of 4 channels
    const int channel = static_cast<int>(threadIdx.x) % 4 * (kSqueezed / 4) + 4 * i;
    if (channel >= out.c) continue;
    const float4 bias = args.bias == nullptr
                            ? make_float4(0, 0, 0, 0)
                            : __ldg(reinterpret_cast<const float4*>(args.bias + channel));
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (pixels[r] < 0) continue;
      const float* s = &sums[8 * i + 2 * r];
      const float v[4] = {relu_if(args.relu, s[0] + bias.x), relu_if(args.relu, s[1] + bias.y),
                          relu_if(args.relu, s[4] + bias.z), relu_if(args.relu, s[5] + bias.w)};
      store4<kHalf>(out, pixels[r] + channel, v);
    }
  }
}

template <int kSqueezed, bool kHalf>
__global__ void __launch_bounds__(kMaxExpandTeams * kTeamThreads, 1)
    hopper_expand_squeeze(const __grid_constant__ SqueezeArguments all_args) {
  extern __shared__ __align__(128) char memory[];
  const ExpandArguments& args = all_args.expand;
  const int teams = static_cast<int>(blockDim.x) / kTeamThreads;
  const int team = static_cast<int>(threadIdx.x) / kTeamThreads;
  __shared__ uint64_t arrived;  // of the weights
  fetch_weights(arrived, memory, args.weights, args.weight_bytes);
  const ChannelPair channels = args.channels[0];
  ptx::wait_for_steps_before();

  const PatchShape& shape = args.patch;
  char* const patch = memory + args.weight_bytes + team * shape.bytes;
  const uint32_t b = core_matrices(ptx::shared_address(memory));
  const uint32_t b_squeeze = core_matrices(ptx::shared_address(memory) + all_args.expand_bytes);
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
    const int next = y0 + shape.tile_rows + 2;
    float squeezed[kSqueezed / 2] = {}, sums[kExpandColumns / 2] = {};
    multiply_large<kHalf>(sums, args, a, y0, b);
    squeeze<kSqueezed, kHalf>(args, sums, channels.large, b_squeeze, squeezed);
    // On its way while the 1x1 is multiplied.
    Item items[kMaxSqueezeItems] = {};
    if (goes_on) fetch<kHalf>(args, image, next, shape.tile_rows, items);
#pragma unroll
    for (float& sum : sums) sum = 0.0f;
    multiply_one<kHalf>(sums, args, a, y0, b);
    if (goes_on) put<kHalf>(args, next, shape.tile_rows, items, patch);
    squeeze<kSqueezed, kHalf>(args, sums, channels.one,
                              b_squeeze + kSqueezeSteps * (step_bytes(kSqueezed, kHalf) >> 4), squeezed);
    int64_t pixels[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      pixels[r] = y0 + row < args.in.h && column + 8 * r < args.in.w
                      ? image * args.out.image_stride +
                            ((y0 + row) * args.in.w + column + 8 * r) * args.out.pixel_stride
                      : -1;
    }
    store_squeezed<kSqueezed, kHalf>(all_args, squeezed, pixels);
    sync_team();  // the rows have been read, and the next ones are there
  }
}

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

class HopperExpandSqueeze final : public ExpandLayer {
 public:
  explicit HopperExpandSqueeze(const GemmSpec& spec)
      : ExpandLayer(spec,
                    pack_squeeze(*spec.step.finish, pair_channels(spec.step)[0],
                                 spec.target.half()),
                    true),
        squeeze_(*spec.step.finish) {
    fixed_.bias = squeeze_.bias;
    fixed_.relu = squeeze_.epilogue.activation == Activation::kRelu;
    fixed_.expand_bytes = pair_bytes(spec.step, half_);
    squeeze_.weight = nullptr;
    squeeze_.phases = nullptr;
    FACEGEN_CUDA_CHECK(cudaFuncSetAttribute(kernel(), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            kMostSharedBytes));
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    SqueezeArguments args = fixed_;
    args.expand = arguments(images, squeeze_.out, operands);
    const int tile_rows = args.expand.patch.tile_rows;
    const int64_t tiles = images * ((step_.in.h + tile_rows - 1) / tile_rows);
    launch_pieces(kernel(), tiles, images, stream, args);
  }


 private:
  auto kernel() const -> void (*)(SqueezeArguments) {
    if (squeeze_columns(squeeze_) == 16) {
      return half_ ? hopper_expand_squeeze<16, true> : hopper_expand_squeeze<16, false>;
    }
    return half_ ? hopper_expand_squeeze<32, true> : hopper_expand_squeeze<32, false>;
  }

  Step squeeze_;
  SqueezeArguments fixed_ = {};
};

}  // namespace

}  // namespace hopper

std::unique_ptr<Gemm> make_hopper_expand_squeeze(const GemmSpec& spec) {
  return std::make_unique<hopper::HopperExpandSqueeze>(spec);
}

}  // namespace facegen::cuda
