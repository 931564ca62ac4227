#include "cuda/fit/thin_plan.h"
#include "divide_up.h"

#include <algorithm>
#include <utility>

namespace facegen::cuda {
namespace {

constexpr int64_t kSharedFloats = 48 * 1024 / 4;
constexpr int kMaxChannels = 16;  // at once: more would leave too few blocks on a multiprocessor
// Below it, most lanes of a tile would have nothing to do.
constexpr int kFewestOutputs = 8;

// The patch that a tile of the phase reads.
ThinPhase measure(const IgemmPlan& plan, const IgemmPhase& rows) {
  ThinPhase phase = {};
  phase.rows = rows;
  int bottom = 0, right = 0;
  for (int t = 0; t < rows.taps; ++t) {
    const auto [dy, dx] = plan.taps[static_cast<std::size_t>(rows.first_tap + t)];
    phase.top = t == 0 ? dy : std::min(phase.top, dy);
    phase.left = t == 0 ? dx : std::min(phase.left, dx);
    bottom = t == 0 ? dy : std::max(bottom, dy);
    right = t == 0 ? dx : std::max(right, dx);
  }
  phase.patch_height = (kThinHeight - 1) * rows.step_y + bottom - phase.top + 1;
  phase.patch_width = (kThinWidth - 1) * rows.step_x + right - phase.left + 1;
  phase.patch_pitch = phase.patch_height * phase.patch_width | 1;
  phase.tiles_y = divide_up(rows.out_h, kThinHeight);
  phase.tiles_x = divide_up(rows.out_w, kThinWidth);
  return phase;
}

// Input channels that fit into shared memory at once, over all phases; 0 where not even one does.
int channels_at_once(const std::vector<ThinPhase>& phases, int in_c) {
  int64_t channels = std::min(kMaxChannels, in_c);
  for (const ThinPhase& phase : phases) {
    const int64_t one = int64_t{4} * phase.rows.taps + phase.patch_pitch;
    channels = std::min(channels, (kSharedFloats - phase.rows.taps) / one);
  }
  // Whole runs of 8 can be read as vectors.
  return static_cast<int>(channels >= 8 ? channels / 8 * 8 : std::max<int64_t>(channels, 0));
}

int64_t shared_floats(const std::vector<ThinPhase>& phases, int channels) {
  int64_t floats = 0;
  for (const ThinPhase& p : phases) {
    floats = std::max(floats, channels * (int64_t{4} * p.rows.taps + p.patch_pitch) + p.rows.taps);
  }
  return floats;
}

}  // namespace

ThinPlan plan_thin(const Step& step, const Layout& layout) {
  ThinPlan plan;
  if (step.out.c > kMaxThinColumns) return plan;
  plan.gemm = plan_igemm(step, layout, 1, 1);
  std::vector<ThinPhase> phases;
  for (const IgemmPhase& rows : plan.gemm.phases) {
    if (rows.out_w < kFewestOutputs) return plan;
    phases.push_back(measure(plan.gemm, rows));
  }
  plan.channels = channels_at_once(phases, step.in.c);
  if (plan.channels == 0) return plan;
  plan.shared_floats = shared_floats(phases, plan.channels);
  plan.phases = std::move(phases);
  return plan;
}

}  // namespace facegen::cuda
