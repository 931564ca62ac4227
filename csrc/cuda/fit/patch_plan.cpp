#include "cuda/fit/patch_plan.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "cuda/fit/divide.h"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int kMaxChannels = 24;  // of the input: with more, the copy engine serves better
constexpr int kMinOutputs = 8;
// What a tile costs besides its patch, in elements of a patch.
constexpr int kTileCost = 1500;

int offset_of(const Axis& axis, int tap) { return axis.base + tap * axis.dir; }

// A group in the making.
struct Rows {
  Axis y;
  std::vector<Axis> x;  // by origin
  std::vector<int> dx;  // of all of them, in order
};

// Phases by their rows; empty where they do not fill the output side by side.
std::vector<Rows> rows_of(const Step& step) {
  std::vector<Rows> all;
  const int merged = step.phases[0].x.out_step;
  for (int p = 0; p < step.phase_count; ++p) {
    const auto& [y, x] = step.phases[p];
    if (y.out <= 0 || x.out <= 0) continue;
    if (x.out_step != merged || x.out_origin < 0 || x.out_origin >= merged) return {};
    auto found = std::find_if(all.begin(), all.end(), [&origin = y.out_origin](const Rows& rows) {
      return rows.y.out_origin == origin;
    });
    if (found == all.end()) found = all.insert(found, {y, std::vector<Axis>(merged), {}});
    found->x[static_cast<std::size_t>(x.out_origin)] = x;
  }
  for (Rows& rows : all) {
    std::set<int> dx;
    for (const Axis& x : rows.x) {
      for (int t = 0; t < x.taps; ++t) dx.insert(offset_of(x, t));
    }
    rows.dx.assign(dx.begin(), dx.end());
    if (dx.empty() || rows.y.taps == 0) return {};
  }
  return all;
}

PatchGroup make_group(const PatchPlan& plan, const Rows& rows, int channels) {
  PatchGroup group = {};
  const int first = offset_of(rows.y, 0), last = offset_of(rows.y, rows.y.taps - 1);
  group.k = rows.y.taps * static_cast<int>(rows.dx.size()) * channels;
  group.rows = rows.y.out;
  for (const Axis& x : rows.x) group.cols = std::max(group.cols, x.out);
  group.origin_y = rows.y.out_origin;
  group.out_step_y = rows.y.out_step;
  group.top = std::min(first, last);
  group.left = rows.dx.front();
  const int width = 1 << plan.log2_w, height = kPatchRows >> plan.log2_w;
  group.patch_h = (height - 1) * plan.step_y + std::abs(last - first) + 1;
  group.patch_w = (width - 1) * plan.step_x + rows.dx.back() - rows.dx.front() + 1;
  group.tiles_y = divide_up(group.rows, height);
  group.tiles_x = divide_up(group.cols, width);
  group.reciprocal = reciprocal(group.patch_w * channels);
  return group;
}

// Fills in what each k of a group reads and multiplies.
void add_elements(PatchPlan& plan, const Step& step, const Rows& rows, const PatchGroup& group) {
  const std::size_t offsets = plan.offsets.size(), weights = plan.weight_index.size();
  plan.offsets.resize(offsets + kMaxPatchK, 0);
  plan.weight_index.resize(weights + static_cast<std::size_t>(plan.columns) * kMaxPatchK, -1);
  const int channels = step.in.c, pitch = plan.columns / plan.phases_x;
  int k = 0;
  for (int ty = 0; ty < rows.y.taps; ++ty) {
    for (const int dx : rows.dx) {
      const int pixel =
          (offset_of(rows.y, ty) - group.top) * group.patch_w + dx - group.left;
      for (int c = 0; c < channels; ++c, ++k) {
        plan.offsets[offsets + static_cast<std::size_t>(k)] =
            static_cast<int16_t>(pixel * channels + c);
        for (int column = 0; column < plan.columns; ++column) {
          const Axis& x = rows.x[static_cast<std::size_t>(column / pitch)];
          const int channel = column % pitch;
          int tx = 0;
          while (tx < x.taps && offset_of(x, tx) != dx) ++tx;
          if (channel >= step.out.c || tx == x.taps) continue;
          const int tap = (rows.y.first_tap + ty * rows.y.tap_step) * step.kernel_w + x.first_tap +
                          tx * x.tap_step;
          plan.weight_index[weights + static_cast<std::size_t>(column) * kMaxPatchK +
                            static_cast<std::size_t>(k)] =
              (channel * step.kernel_h * step.kernel_w + tap) * channels + c;
        }
      }
    }
  }
}

}  // namespace

PatchPlan plan_patch(const Step& step) {
  if (step.op != Op::kGemm || step.phase_count == 0 || step.in.c > kMaxChannels ||
      map_of(step).c < kMinOutputs || step.epilogue.other.buffer >= 0) {
    return {};
  }
  const std::vector<Rows> rows = rows_of(step);
  PatchPlan plan;
  plan.step_y = step.phases[0].y.step;
  plan.step_x = step.phases[0].x.step;
  plan.phases_x = step.phases[0].x.out_step;
  const auto pitch = plan.phases_x > 1 ? map_of(step).pixel_stride : (map_of(step).c + 7) / 8 * 8;
  if (rows.empty() || plan.phases_x * pitch > kMaxPatchColumns) return {};
  plan.columns = static_cast<int>(plan.phases_x * pitch);

  // The shape of tile that costs least.
  int64_t best_cost = -1;
  PatchPlan trial = plan;
  for (trial.log2_w = 1; 1 << trial.log2_w <= kPatchRows; ++trial.log2_w) {
    int64_t cost = 0;
    int largest = 0;
    for (const Rows& of_group : rows) {
      const PatchGroup group = make_group(trial, of_group, step.in.c);
      if (group.k > kMaxPatchK) return {};
      const int elements = group.patch_h * group.patch_w * step.in.c;
      largest = std::max(largest, elements);
      cost += int64_t{group.tiles_y} * group.tiles_x * (kTileCost + elements);
    }
    if (largest > kMaxPatchElements || (best_cost >= 0 && cost > best_cost)) continue;
    best_cost = cost;
    plan.log2_w = trial.log2_w;
    plan.patch_elements = largest;
  }
  if (best_cost < 0) return {};
  for (const Rows& of_group : rows) {
    plan.groups.push_back(make_group(plan, of_group, step.in.c));
    add_elements(plan, step, of_group, plan.groups.back());
  }
  return plan;
}

bool patch_suits(const StepFit& fit) {
  const Step& step = fit.step;
  if (!fit.target.hopper_gemms() || fit.in.format != Format::kFloat32) return false;
  // Other formats, and the second place, are stored in vectors.
  if (!patch_in_vectors(fit) && fit.out.format != Format::kFloat32) return false;
  const View& copy = step.copy;
  const bool copied = copy.buffer >= 0;
  if (copied && (step.phase_count != 1 || step.out.c % 8 || step.out.pixel_stride % 8 ||
                 step.out.offset % 8 || copy.pixel_stride % 8 || copy.offset % 8)) {
    return false;
  }
  return has_patches(step);
}

RowsPlan plan_rows(const PatchPlan& plan, int channels, bool half) {
  RowsPlan rows;
  rows.columns = plan.columns <= 88 ? 88 : 96;
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    const PatchGroup& group = plan.groups[g];
    const int taps = group.k / channels;
    for (int tap = 0; tap < taps; ++tap) {
      const int pixel =
          plan.offsets[g * kMaxPatchK + static_cast<std::size_t>(tap * channels)] / channels;
      rows.ring_rows = std::max(rows.ring_rows, pixel / group.patch_w + 1);
      rows.patch_w = std::max(rows.patch_w, group.cols + pixel % group.patch_w);
    }
    rows.tile_floats = std::max(rows.tile_floats, group.cols * plan.columns);
    rows.weight_bytes =
        std::max(rows.weight_bytes, steps_of_taps(taps) * step_bytes(rows.columns, half));
  }
  rows.patch_bytes = divide_up(rows.ring_rows * rows.patch_w * kRowsPixelBytes, 128) * 128;
  rows.staging_bytes = divide_up(4 * rows.tile_floats + 16, 128) * 128;
  rows.teams = kMaxRowsTeams;
  while (rows.teams > 0 && rows.shared_bytes(rows.teams) > kMostSharedBytes) --rows.teams;
  return rows;
}

bool rows_suit(const StepFit& fit) {
  const View &in = fit.step.in, &out = fit.step.out;
  const Epilogue& e = fit.step.epilogue;
  if (!fit.target.hopper_gemms() || in.c <= 16 || in.pixel_stride != kTapElements) return false;
  if (!is_sum_and_bias(e) || e.activation != Activation::kNone) return false;
  if (fit.in.format != Format::kFloat32 || fit.out.format != Format::kFloat32 ||
      in.offset % 2 || fit.in.image_stride % 2) {
    return false;
  }
  const PatchPlan plan = plan_patch(fit.step);
  const auto group_suits = [&](const PatchGroup& group) {
    const int patch_w = group.cols + group.patch_w - (1 << plan.log2_w);
    return group.k / in.c <= kMaxRowsTaps && group.cols <= kRowsTilePixels &&
           patch_w * kRowsPixelPairs <= kTeamThreads * kMaxRowsPairs;
  };
  // Two warpgroups at least share a multiprocessor.
  return !plan.groups.empty() && plan.groups.size() <= kMaxRowsGroups && plan.step_y == 1 &&
         plan.step_x == 1 && plan.phases_x > 1 && plan.columns > 64 &&
         (plan.columns <= 88 || in_vectors(out, fit.out, 4)) &&
         std::all_of(plan.groups.begin(), plan.groups.end(), group_suits) &&
         plan_rows(plan, in.c, fit.target.half()).teams >= 2;
}

}  // namespace facegen::cuda::hopper
