#include "cuda/fit/expand_plan.h"

#include <algorithm>

#include "cuda/fit/divide.h"
#include "cuda/fit/pooled.h"
#include "cuda/fit/positions.h"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int kTilePixels = 64;
constexpr int kMaxChannels = 48;

bool is_plain(const Epilogue& e) {
  return is_sum_and_bias(e) &&
         (e.activation == Activation::kNone || e.activation == Activation::kRelu);
}

// What all kernels of the expands need.
bool is_expand(const StepFit& fit) {
  const Step& step = fit.step;
  const View &in = step.in, &map = map_of(step);
  const auto axis_suits = [](const Axis& axis) {
    return axis.step == 1 && axis.dir == 1 && axis.base == -1 && axis.taps == 3 &&
           axis.first_tap == 0 && axis.tap_step == 1 && axis.out_step == 1 && axis.out_origin == 0;
  };
  return fit.target.hopper_gemms() && fit.in.format == fit.target.operand_format() &&
         fit.in.image_stride % 8 == 0 && step.op == Op::kGemm && step.phase_count == 1 &&
         axis_suits(step.phases[0].y) && axis_suits(step.phases[0].x) && step.kernel_h == 3 &&
         step.kernel_w == 3 && in.c % 16 == 0 && in.c <= kMaxChannels &&
         in.pixel_stride == in.c && in.offset % 8 == 0 && in.w <= kTilePixels && map.h == in.h &&
         map.w == in.w && map.c % (2 * kExpandColumns) == 0 &&
         2 * step.centre_channels == map.c && is_plain(step.epilogue) && in_vectors(step.out, fit.out, 8);
}

}  // namespace

PatchShape make_patch(const View& map, bool half, bool spare) {
  PatchShape patch;
  const int pixels = map.w + 2, eights = map.c / 8;
  patch.warps_a_row = pixels <= 16 ? 1 : pixels <= 32 ? 2 : 4;
  patch.tile_rows = 4 / patch.warps_a_row;
  patch.ring_rows = patch.tile_rows + 2 + (spare ? patch.tile_rows : 0);
  // Rows of a tile lie as far apart as 8 pixels of A, times the eights that a row has.
  const int row_pixels = patch.tile_rows == 1 ? pixels : kTilePixels / patch.tile_rows;
  patch.row_bytes = row_pixels * kExpandPixelBytes;
  // The first rows once more behind the last; neighbouring channels start in different banks.
  const int bytes = (patch.ring_rows + patch.tile_rows - 1) * patch.row_bytes;
  patch.eight_bytes = bytes / 128 * 128 + (eights == 2 ? 64 : 32) + (bytes % 128 ? 128 : 0);
  patch.plane_bytes = eights * patch.eight_bytes;
  patch.bytes = patch.plane_bytes * (half ? 1 : 2);
  const int row_items = pixels * eights;
  patch.items = divide_up(patch.tile_rows * row_items, kTeamThreads);
  patch.start_rows = kStartItems * kTeamThreads / row_items;
  patch.per_row = reciprocal(row_items);
  patch.per_pixel = reciprocal(eights);
  return patch;
}

std::vector<ChannelPair> pair_channels(const Step& step) {
  std::vector<ChannelPair> pairs;
  for (int one = 0; one < step.centre_channels; one += kExpandColumns) {
    pairs.push_back({step.centre_channels + one, one});
  }
  return pairs;
}

int pair_bytes(const Step& step, bool half) {
  return 10 * step.in.c / 16 * step_bytes(kExpandColumns, half);
}

int count_teams(const PatchShape& patch, int weight_bytes) {
  return std::min((kMostSharedBytes - weight_bytes - kPastPatches) / patch.bytes, kMaxExpandTeams);
}

bool expand_suits(const StepFit& fit) {
  if (!is_expand(fit)) return false;
  // Not where too few warpgroups share a multiprocessor, or have too much to load.
  const bool half = fit.target.half();
  const PatchShape patch = make_patch(fit.step.in, half, false);
  return patch.items <= kMaxExpandItems && count_teams(patch, pair_bytes(fit.step, half)) >= 3;
}

bool expand_pool_suits(const StepFit& fit) {
  if (!is_expand(fit) || !is_pooled_by_three(fit.step)) return false;
  const bool half = fit.target.half();
  const PatchShape patch = make_patch(fit.step.in, half, false);
  // Rows so long that the four warps have one.
  return fit.step.out.w <= kMaxExpandPoolWidth && patch.tile_rows == 1 &&
         patch.items <= kMaxPoolItems && count_teams(patch, pair_bytes(fit.step, half)) >= 3;
}

bool expand_squeeze_suits(const StepFit& fit) {
  if (!is_expand(fit) || !has_finish(fit.step, Op::kGemm)) return false;
  const Step& squeeze = *fit.step.finish;
  const View& out = squeeze.out;
  const bool half = fit.target.half();
  const PatchShape patch = make_patch(fit.step.in, half, true);
  const int bytes = pair_bytes(fit.step, half) +
                    2 * kSqueezeSteps * step_bytes(squeeze_columns(squeeze), half);
  return squeeze.phase_count == 1 && squeeze.in.c == 2 * kExpandColumns && squeeze.kernel_h == 1 &&
         squeeze.kernel_w == 1 && is_same_pixel(squeeze.phases[0].y) &&
         is_same_pixel(squeeze.phases[0].x) && out.h == squeeze.in.h && out.w == squeeze.in.w &&
         out.c >= 16 && out.c <= kMaxSqueezed && out.c % 8 == 0 && extras_of(squeeze) == kNothing &&
         is_plain(squeeze.epilogue) && patch.items <= kMaxSqueezeItems &&
         count_teams(patch, bytes) == kMaxExpandTeams;
}

}  // namespace facegen::cuda::hopper
