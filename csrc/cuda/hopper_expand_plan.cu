// The host's part of what the kernels of a fire module's expands share: which steps suit them,
// how patches lie, and the packed weights.
#include <algorithm>

#include "cuda/error.h"
#include "cuda/hopper_expand.cuh"

namespace facegen::cuda::hopper {
namespace {

constexpr int kTilePixels = 64;
constexpr int kMaxChannels = 48;

bool is_zero(const Step& step, int channel, int tap) {
  const int64_t taps = int64_t{step.kernel_h} * step.kernel_w;
  for (int k = channel; k < channel + kExpandColumns; ++k) {
    const float* weight = step.weight + (k * taps + tap) * step.in.c;
    if (std::any_of(weight, weight + step.in.c, [](float w) { return w != 0.0f; })) return false;
  }
  return true;
}

}  // namespace

PatchShape make_patch(const View& map, bool half, bool spare) {
  PatchShape patch;
  const int pixels = map.w + 2, eights = map.c / 8;
  patch.warps_a_row = pixels <= 16 ? 1 : pixels <= 32 ? 2 : 4;
  patch.tile_rows = 4 / patch.warps_a_row;
  patch.ring_rows = patch.tile_rows + 2 + (spare ? patch.tile_rows : 0);
  // Rows of a tile lie as far apart as 8 pixels of A, times the eights that a row has.
  patch.row_bytes = (patch.tile_rows == 1 ? pixels : kTilePixels / patch.tile_rows) * kPixelBytes;
  // The first rows once more behind the last; neighbouring channels start in different banks.
  const int bytes = (patch.ring_rows + patch.tile_rows - 1) * patch.row_bytes;
  patch.eight_bytes = bytes / 128 * 128 + (eights == 2 ? 64 : 32) + (bytes % 128 ? 128 : 0);
  patch.plane_bytes = eights * patch.eight_bytes;
  patch.bytes = patch.plane_bytes * (half ? 1 : 2);
  const int row_items = pixels * eights;
  patch.items = (patch.tile_rows * row_items + kTeamThreads - 1) / kTeamThreads;
  patch.start_rows = kStartItems * kTeamThreads / row_items;
  patch.per_row = reciprocal(row_items);
  patch.per_pixel = reciprocal(eights);
  return patch;
}

std::vector<int2> pair_channels(const Step& step) {
  std::vector<int> large, one;
  for (int channel = 0; channel < step.out.c; channel += kExpandColumns) {
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

std::vector<uint16_t> pack_pair(const Step& step, int2 channels, bool half) {
  const int blocks = step.in.c / 16;
  const auto weight = [&](int n, int first, int tap, int block, int place) {
    const int channel = first + neighbouring_channel(n);
    const int input = 16 * block + place;
    return step.weight[(int64_t{channel} * 9 + tap) * step.in.c + input];
  };
  std::vector<uint16_t> packed =
      pack_steps(9 * blocks, kExpandColumns, half, [&](int i, int place, int n) {
        const int tap = i / 3 / blocks * 3 + i % 3;
        return weight(n, channels.x, tap, i / 3 % blocks, place);
      });
  const auto one = pack_steps(blocks, kExpandColumns, half, [&](int i, int place, int n) {
    return weight(n, channels.y, 4, i, place);
  });
  packed.insert(packed.end(), one.begin(), one.end());
  return packed;
}

int pair_bytes(const Step& step, bool half) {
  return 10 * step.in.c / 16 * step_bytes(kExpandColumns, half);
}

int count_teams(const PatchShape& patch, int weight_bytes) {
  return std::min((kMostSharedBytes - weight_bytes - kPastPatches) / patch.bytes, kMaxTeams);
}

bool expand_suits(const Step& step) {
  const View &in = step.in, &out = step.out;
  const Epilogue& e = step.epilogue;
  const bool plain = !e.scale && !e.shift && e.add.buffer < 0 &&
                     (e.activation == Activation::kNone || e.activation == Activation::kRelu);
  const auto axis_suits = [](const Axis& axis) {
    return axis.step == 1 && axis.dir == 1 && axis.base == -1 && axis.taps == 3 &&
           axis.first_tap == 0 && axis.tap_step == 1 && axis.out_step == 1 && axis.out_origin == 0;
  };
  return step.op == Op::kGemm && step.phase_count == 1 && axis_suits(step.phases[0].y) &&
         axis_suits(step.phases[0].x) && step.kernel_h == 3 && step.kernel_w == 3 &&
         in.c % 16 == 0 && in.c <= kMaxChannels && in.pixel_stride == in.c && in.offset % 8 == 0 &&
         in.w <= kTilePixels && out.h == in.h && out.w == in.w &&
         out.c % (2 * kExpandColumns) == 0 && plain;
}

ExpandLayer::ExpandLayer(const GemmSpec& spec, const std::vector<uint16_t>& more, bool spare)
    : step_(spec.step), half_(spec.precision == Precision::kFloat16) {
  multiprocessors_ = spec.device.multiprocessors;
  const std::vector<int2> pairs = pair_channels(step_);
  std::vector<uint16_t> packed;
  for (const int2 channels : pairs) {
    const std::vector<uint16_t> pair = pack_pair(step_, channels, half_);
    packed.insert(packed.end(), pair.begin(), pair.end());
    packed.insert(packed.end(), more.begin(), more.end());
  }
  groups_ = static_cast<int>(pairs.size());
  weights_ = upload(packed.data(), static_cast<int64_t>(packed.size()));
  channels_ = upload(pairs.data(), groups_);
  fixed_.weights = reinterpret_cast<const uint8_t*>(weights_.get());
  fixed_.weight_bytes = static_cast<int32_t>(packed.size() * 2) / groups_;
  fixed_.channels = channels_.get();
  fixed_.bias = step_.bias;
  fixed_.relu = step_.epilogue.activation == Activation::kRelu;
  fixed_.patch = make_patch(step_.in, half_, spare);
  teams_ = count_teams(fixed_.patch, fixed_.weight_bytes);
  step_.weight = nullptr;
  step_.phases = nullptr;
}

ExpandArguments ExpandLayer::arguments(int64_t images, const View& out,
                                       const Operands& operands) const {
  ExpandArguments args = fixed_;
  args.in = make_operand(step_.in, operands.in);
  args.out = make_operand(out, operands.out);
  args.images = static_cast<int32_t>(images);
  return args;
}

}  // namespace facegen::cuda::hopper
