// The two convolutions of a fire module that read the squeezed map and write side by side, 1x1 and
// 3x3 (merge_siblings in prepare.cpp joins them), on Hopper.
//
// The map has 16 to 48 channels, of which boxes of 64 (hopper_gemm.cu) would be mostly padding. So
// A goes from a patch in shared memory to registers, as in hopper_fragments.cuh, but by 16
// channels:
//
//   patch   the pixels that a tile reads; for each 16 channels a plane of its own, and in it for each
//           pixel 4 units of 4 channels: 2 words of hi, 2 of lo
//   A       of a step of 16 places, lane % 4 = q takes unit q: place 8 s + 2 q + e is channel
//           4 q + 2 s + e
//   B       64 columns of the 3x3 convolution (row of taps, 16 channels, tap of the row), then 64 of
//           the 1x1; stay for the kernel's life
//
// Every warpgroup walks down the images by itself, a tile of up to 64 pixels (whole rows) at a
// time: while one stores, the others multiply. Its patch is a ring of rows; what the next tile adds
// to it is loaded into registers while this one is multiplied.
#include <algorithm>

#include "cuda/divide.h"
#include "cuda/error.h"
#include "cuda/gemm.h"
#include "cuda/hopper_epilogue.cuh"
#include "cuda/hopper_fragments.cuh"
#include "cuda/hopper_launch.h"
#include "cuda/memory.h"

namespace facegen::cuda {
namespace hopper {
namespace {

constexpr int kColumns = 64;
constexpr int kTilePixels = 64;
constexpr int kTeamThreads = 128;
constexpr int kMaxTeams = 4;     // warpgroups
constexpr int kMaxItems = 4;     // of a tile's new rows, by a thread: 8 channels of a pixel
constexpr int kPixelBytes = 64;  // of a plane of 16 channels

struct ExpandArguments {
  Operand in, out;
  const float* bias;
  bool relu;
  const uint8_t* weights;  // by group, as pack_steps makes them
  const int2* channels;    // by group: the first of the 3x3, and of the 1x1
  int32_t images, weight_bytes;
  int32_t tile_rows;
  int32_t ring_rows, row_bytes, plane_bytes;  // of a patch
  uint32_t per_row, per_pixel;                // reciprocals of items
};

// Rows of the map that a thread brings a share of; the row above the map is number 0.
struct Item {
  uint4 hi, lo;
};

template <bool kHalf>
__device__ __forceinline__ void fetch(const ExpandArguments& args, int image, int first, int count,
                                      Item (&items)[kMaxItems]) {
  const int eights = args.in.c / 8, row_items = (args.in.w + 2) * eights;
  const auto* start = reinterpret_cast<const uint4*>(args.in.data) +
                      image * args.in.image_stride / 8;
#pragma unroll
  for (int i = 0; i < kMaxItems; ++i) {
    if (i * kTeamThreads >= count * row_items) break;
    const int at = static_cast<int>(threadIdx.x) % kTeamThreads + i * kTeamThreads;
    const int row = divide(at, args.per_row), along = at - row * row_items - eights;
    const int y = first + row - 1;
    const bool inside = row < count && y >= 0 && y < args.in.h && along >= 0 &&
                        along < args.in.w * eights;
    const auto* from = start + y * args.in.w * eights + along;
    items[i].hi = inside ? __ldcg(from) : make_uint4(0, 0, 0, 0);
    if constexpr (!kHalf) {
      items[i].lo = inside ? __ldcg(from + args.in.plane / 8) : make_uint4(0, 0, 0, 0);
    }
  }
}

template <bool kHalf>
__device__ __forceinline__ void put(const ExpandArguments& args, int first, int count,
                                    const Item (&items)[kMaxItems], char* patch) {
  const int eights = args.in.c / 8, first_slot = first % args.ring_rows;
  // Four lanes each start with the other half: 8 lanes' stores then hit different banks.
  const bool turned = threadIdx.x & 4;
#pragma unroll
  for (int i = 0; i < kMaxItems; ++i) {
    const int at = static_cast<int>(threadIdx.x) % kTeamThreads + i * kTeamThreads;
    const int row = divide(at, args.per_row);
    if (row >= count) break;
    const int along = at - row * (args.in.w + 2) * eights;
    const int pixel = divide(along, args.per_pixel), eight = along - pixel * eights;
    int slot = first_slot + row;
    if (slot >= args.ring_rows) slot -= args.ring_rows;
    auto* to = reinterpret_cast<uint4*>(patch + eight / 2 * args.plane_bytes +
                                        slot * args.row_bytes + pixel * kPixelBytes + eight % 2 * 32);
    const uint4 hi = items[i].hi, lo = kHalf ? make_uint4(0, 0, 0, 0) : items[i].lo;
    const uint4 low = make_uint4(hi.x, hi.y, lo.x, lo.y), high = make_uint4(hi.z, hi.w, lo.z, lo.w);
    to[turned ? 1 : 0] = turned ? high : low;
    to[turned ? 0 : 1] = turned ? low : high;
  }
}

// A thread's share of a step: its unit of two pixels.
__device__ __forceinline__ void load_step(const uint32_t (&units)[2], uint32_t offset, uint32_t* hi,
                                          uint32_t* lo) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const uint4 unit = ptx::load_shared16(units[r] + offset);
    hi[r] = unit.x, hi[2 + r] = unit.y;
    lo[r] = unit.z, lo[2 + r] = unit.w;
  }
}

// Bias, activation and store of a warpgroup's tile; pixels[r] < 0: not there.
template <bool kHalf>
__device__ __forceinline__ void store_tile(const ExpandArguments& args,
                                           const float (&sums)[kColumns / 2],
                                           const int64_t (&pixels)[2], int channel) {
#pragma unroll
  for (int i = 0; i < kColumns / 32; ++i) {
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
__global__ void __launch_bounds__(kMaxTeams * kTeamThreads, 1)
    hopper_expand(const __grid_constant__ ExpandArguments args) {
  extern __shared__ __align__(128) char memory[];
  const int teams = static_cast<int>(blockDim.x) / kTeamThreads;
  const int team = static_cast<int>(threadIdx.x) / kTeamThreads;
  const int thread = static_cast<int>(threadIdx.x) % kTeamThreads;
  __shared__ uint64_t arrived;  // of the weights
  fetch_weights(arrived, memory, args.weights + int64_t{blockIdx.y} * args.weight_bytes,
                args.weight_bytes);
  const int2 channels = __ldg(args.channels + blockIdx.y);
  ptx::wait_for_steps_before();

  const int blocks = args.in.c / 16;
  char* const patch = memory + args.weight_bytes + team * blocks * args.plane_bytes;
  constexpr int kStep = step_bytes(kColumns, kHalf) >> 4;
  const uint64_t b_start = core_descriptor(ptx::shared_address(memory));
  const auto sync_team = [team] { ptx::sync_threads(1 + team, kTeamThreads); };
  // The thread's pixels of a tile, and their units in a row of the ring.
  int rows[2], cols[2];
  uint32_t places[2];
  bool exists[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int pixel = thread / 32 * 16 + thread % 32 / 4 + 8 * r;
    exists[r] = pixel < args.tile_rows * args.in.w;
    rows[r] = exists[r] ? pixel / args.in.w : 0;
    cols[r] = exists[r] ? pixel % args.in.w : 0;
    places[r] = ptx::shared_address(patch) + cols[r] * kPixelBytes + thread % 4 * 16;
  }

  const int of_image = (args.in.h + args.tile_rows - 1) / args.tile_rows;
  const int64_t all = int64_t{args.images} * of_image;
  const int64_t worker = int64_t{blockIdx.x} * teams + team, workers = int64_t{gridDim.x} * teams;
  const auto first = static_cast<int>(all * worker / workers);
  const auto end = static_cast<int>(all * (worker + 1) / workers);
  Item items[kMaxItems];
  for (int tile = first; tile < end; ++tile) {
    const int image = tile / of_image, y0 = tile % of_image * args.tile_rows;
    if (tile == first || y0 == 0) {
      for (int row = 0; row < args.ring_rows; row += args.tile_rows) {
        const int count = min(args.tile_rows, args.ring_rows - row);
        fetch<kHalf>(args, image, y0 + row, count, items);
        put<kHalf>(args, y0 + row, count, items, patch);
      }
      wait_for_weights(arrived);
      sync_team();
    }
    const bool goes_on = tile + 1 < end && y0 + args.tile_rows < args.in.h;
    if (goes_on) fetch<kHalf>(args, image, y0 + args.ring_rows, args.tile_rows, items);

    // Units of both pixels in a row of taps.
    const int slot = y0 % args.ring_rows;
    const auto find_units = [&](int dy, uint32_t (&units)[2]) {
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        int row = slot + rows[r] + dy;
        if (row >= args.ring_rows) row -= args.ring_rows;
        units[r] = places[r] + row * args.row_bytes;
      }
    };
    int64_t pixels[2];
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int y = y0 + rows[r];
      pixels[r] = exists[r] && y < args.in.h
                      ? image * args.out.image_stride +
                            (y * args.in.w + cols[r]) * args.out.pixel_stride
                      : -1;
    }
    uint32_t units[2], hi[12], lo[12];
    uint64_t b = b_start;
    float sums[kColumns / 2] = {};
#pragma unroll 1  // else the compiler puts the products one after another
    for (int dy = 0; dy < 3; ++dy) {
      find_units(dy, units);
#pragma unroll 1
      for (int block = 0; block < blocks; ++block) {
#pragma unroll
        for (int dx = 0; dx < 3; ++dx) {
          load_step(units, block * args.plane_bytes + dx * kPixelBytes, hi + 4 * dx, lo + 4 * dx);
        }
        multiply_steps<kColumns, kHalf, 3>(sums, hi, lo, b);
        b += 3 * kStep;
      }
    }
    store_tile<kHalf>(args, sums, pixels, channels.x);
#pragma unroll
    for (float& sum : sums) sum = 0.0f;
    find_units(1, units);
#pragma unroll 1
    for (int block = 0; block < blocks; ++block) {
      load_step(units, block * args.plane_bytes + kPixelBytes, hi, lo);
      multiply_steps<kColumns, kHalf, 1>(sums, hi, lo, b);
      b += kStep;
    }
    sync_team();  // the rows have been read
    if (goes_on) put<kHalf>(args, y0 + args.ring_rows, args.tile_rows, items, patch);
    store_tile<kHalf>(args, sums, pixels, channels.y);
    sync_team();
  }
}

bool is_zero(const Step& step, int channel, int tap) {
  const int64_t taps = int64_t{step.kernel_h} * step.kernel_w;
  for (int k = channel; k < channel + kColumns; ++k) {
    const float* weight = step.weight + (k * taps + tap) * step.in.c;
    if (std::any_of(weight, weight + step.in.c, [](float w) { return w != 0.0f; })) return false;
  }
  return true;
}

// Pairs of 64 channels each: the first of 3x3, the second of 1x1. Empty where there are others.
std::vector<int2> pair_channels(const Step& step) {
  std::vector<int> large, one;
  for (int channel = 0; channel < step.out.c; channel += kColumns) {
    bool centre_alone = true;
    for (int tap = 0; tap < 9; ++tap) centre_alone &= tap == 4 || is_zero(step, channel, tap);
    (centre_alone ? one : large).push_back(channel);
  }
  std::vector<int2> pairs;
  for (std::size_t i = 0; i < large.size() && large.size() == one.size(); ++i) {
    pairs.push_back(make_int2(large[i], one[i]));
  }
  return pairs;
}

class HopperExpand final : public Gemm {
 public:
  HopperExpand(const GemmSpec& spec, const std::vector<int2>& pairs)
      : step_(spec.step), half_(spec.precision == Precision::kFloat16) {
    int device = 0;
    FACEGEN_CUDA_CHECK(cudaGetDevice(&device));
    FACEGEN_CUDA_CHECK(
        cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device));
    std::vector<uint16_t> packed;
    for (const int2 channels : pairs) add_group(channels, packed);
    groups_ = static_cast<int>(pairs.size());
    weights_ = upload(packed.data(), static_cast<int64_t>(packed.size()));
    channels_ = upload(pairs.data(), groups_);
    fixed_.weights = reinterpret_cast<const uint8_t*>(weights_.get());
    fixed_.weight_bytes = static_cast<int32_t>(packed.size() * 2) / groups_;
    fixed_.channels = channels_.get();
    fixed_.bias = step_.bias;
    fixed_.relu = step_.epilogue.activation == Activation::kRelu;
    fixed_.tile_rows = kTilePixels / step_.in.w;
    fixed_.per_pixel = reciprocal(step_.in.c / 8);
    fixed_.per_row = reciprocal((step_.in.w + 2) * step_.in.c / 8);
    fixed_.ring_rows = fixed_.tile_rows + 2;
    fixed_.row_bytes = (step_.in.w + 2) * kPixelBytes;
    // Neighbouring planes start in different banks.
    fixed_.plane_bytes = (fixed_.ring_rows * fixed_.row_bytes + 127) / 128 * 128 + 64;
    teams_ = std::min((kMostSharedBytes - fixed_.weight_bytes) / patch_bytes(), kMaxTeams);
    step_.weight = nullptr;
    step_.phases = nullptr;
    if (!ready()) return;
    FACEGEN_CUDA_CHECK(cudaFuncSetAttribute(half_ ? hopper_expand<true> : hopper_expand<false>,
                                            cudaFuncAttributeMaxDynamicSharedMemorySize,
                                            kMostSharedBytes));
  }

  // False where too few warpgroups share a multiprocessor, or have too much to load.
  bool ready() const {
    const int items = fixed_.tile_rows * (step_.in.w + 2) * step_.in.c / 8;
    return teams_ >= 3 && items <= kTeamThreads * kMaxItems;
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    ExpandArguments args = fixed_;
    args.in = make_operand(step_.in, operands.in);
    args.out = make_operand(step_.out, operands.out);
    args.images = static_cast<int32_t>(images);
    // Of small batches, warpgroups spread over all multiprocessors.
    const int64_t tiles = images * ((step_.in.h + args.tile_rows - 1) / args.tile_rows);
    const int64_t at_once = std::max(multiprocessors_ / groups_, 1);
    const auto teams =
        static_cast<int>(std::clamp<int64_t>((tiles + at_once - 1) / at_once, 1, teams_));
    const dim3 grid(static_cast<unsigned>(std::min(at_once, (tiles + teams - 1) / teams)),
                    static_cast<unsigned>(groups_));
    launch(half_ ? hopper_expand<true> : hopper_expand<false>, grid, teams * kTeamThreads,
           static_cast<std::size_t>(fixed_.weight_bytes + teams * patch_bytes()), images, stream,
           args);
  }

  const char* name() const override { return half_ ? "wgmma expand f16" : "wgmma expand bf16x3"; }

 private:
  int patch_bytes() const { return step_.in.c / 16 * fixed_.plane_bytes; }

  void add_group(int2 channels, std::vector<uint16_t>& packed) const {
    const int blocks = step_.in.c / 16;
    const auto weight = [&](int n, int first, int tap, int block, int place) {
      const int channel = first + neighbouring_channel(n);
      const int input = 16 * block + place % 8 / 2 * 4 + place / 8 * 2 + place % 2;
      return step_.weight[(int64_t{channel} * 9 + tap) * step_.in.c + input];
    };
    const auto large = pack_steps(9 * blocks, kColumns, half_, [&](int step, int place, int n) {
      const int tap = step / 3 / blocks * 3 + step % 3;
      return weight(n, channels.x, tap, step / 3 % blocks, place);
    });
    const auto one = pack_steps(blocks, kColumns, half_, [&](int step, int place, int n) {
      return weight(n, channels.y, 4, step, place);
    });
    packed.insert(packed.end(), large.begin(), large.end());
    packed.insert(packed.end(), one.begin(), one.end());
  }

  Step step_;
  bool half_;
  int multiprocessors_ = 0, teams_ = 0, groups_ = 0;
  ExpandArguments fixed_ = {};
  DeviceArray<uint16_t> weights_;
  DeviceArray<int2> channels_;
};

bool expand_suits(const GemmSpec& spec) {
  const Step& step = spec.step;
  const View &in = step.in, &out = step.out;
  const Epilogue& e = step.epilogue;
  const bool plain = !e.scale && !e.shift && e.add.buffer < 0 &&
                     (e.activation == Activation::kNone || e.activation == Activation::kRelu);
  const Format format = spec.precision == Precision::kFloat16 ? Format::kHalf : Format::kSplit;
  const auto axis_suits = [](const Axis& axis) {
    return axis.step == 1 && axis.dir == 1 && axis.base == -1 && axis.taps == 3 &&
           axis.first_tap == 0 && axis.tap_step == 1 && axis.out_step == 1 && axis.out_origin == 0;
  };
  return step.phase_count == 1 && axis_suits(step.phases[0].y) && axis_suits(step.phases[0].x) &&
         step.kernel_h == 3 && step.kernel_w == 3 && in.c % 16 == 0 && in.c <= 48 &&
         in.pixel_stride == in.c && in.offset % 8 == 0 && spec.in.image_stride % 8 == 0 &&
         in.w <= kTilePixels && out.h == in.h && out.w == in.w && out.c % (2 * kColumns) == 0 &&
         out.pixel_stride % 8 == 0 && out.offset % 8 == 0 && spec.out.image_stride % 8 == 0 &&
         plain && spec.prepared.copy.buffer < 0 && spec.in.format == format;
}

}  // namespace
}  // namespace hopper

std::unique_ptr<Gemm> make_hopper_expand(const GemmSpec& spec) {
  const bool precise =
      spec.precision == Precision::kFloat16 || spec.precision == Precision::kFloat32;
  int device = 0, major = 0;
  FACEGEN_CUDA_CHECK(cudaGetDevice(&device));
  FACEGEN_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  if (!precise || major != 9 || !hopper::expand_suits(spec)) return nullptr;
  const std::vector<int2> pairs = hopper::pair_channels(spec.step);
  if (pairs.empty()) return nullptr;
  auto gemm = std::make_unique<hopper::HopperExpand>(spec, pairs);
  if (!gemm->ready()) return nullptr;
  return gemm;
}

}  // namespace facegen::cuda
