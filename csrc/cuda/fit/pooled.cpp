#include "cuda/fit/pooled.h"
#include "divide_up.h"

#include <algorithm>

namespace facegen::cuda::hopper {
namespace {

constexpr int kMinMapTeams = 3;  // with fewer, nobody multiplies while others wait
constexpr int kMaxPatch = 256;   // pixels each way, of a box of the copy engine

bool is_plain_axis(const Axis& axis, int kernel) {
  return axis.dir == 1 && axis.first_tap == 0 && axis.tap_step == 1 && axis.taps == kernel &&
         axis.out_step == 1 && axis.out_origin == 0;
}

bool is_pooled_conv(const Step& step) {
  const Activation activation = step.epilogue.activation;
  return step.op == Op::kGemm && has_finish(step, Op::kMaxPool) && step.phase_count == 1 &&
         is_plain_axis(step.phases[0].y, step.kernel_h) &&
         is_plain_axis(step.phases[0].x, step.kernel_w) && is_sum_and_bias(step.epilogue) &&
         (activation == Activation::kNone || activation == Activation::kRelu) &&
         is_identity(step.finish->epilogue);
}

// Of stride 1, and a 2x2 pool of stride 2 that reads nothing outside the convolution.
bool is_pooled_by_two(const Step& step) {
  if (!is_pooled_conv(step)) return false;
  const Window& p = step.finish->window;
  const View &map = map_of(step), &out = step.out;
  return step.phases[0].y.step == 1 && step.phases[0].x.step == 1 && p.kernel_h == 2 &&
         p.kernel_w == 2 && p.stride_h == 2 && p.stride_w == 2 && p.pad_top == 0 &&
         p.pad_left == 0 && 2 * out.h <= map.h && 2 * out.w <= map.w;
}

// Behind a 3x3 pool of stride 2.
bool is_pooled_by_three_of_stride_two(const Step& step) {
  if (!is_pooled_conv(step)) return false;
  const Window& p = step.finish->window;
  return p.kernel_h == 3 && p.kernel_w == 3 && p.stride_h == 2 && p.stride_w == 2;
}

bool in_pooled_vectors(const StepFit& fit) {
  return fit.step.out.c % 8 == 0 && in_vectors(fit.step.out, fit.out, 8);
}

}  // namespace

bool is_pooled_by_three(const Step& step) {
  if (!is_pooled_by_three_of_stride_two(step)) return false;
  const Window& p = step.finish->window;
  const View &map = map_of(step), &out = step.out;
  return p.pad_top == 0 && p.pad_left == 0 && 2 * out.h + 1 <= map.h && 2 * out.w + 1 <= map.w;
}

bool stem_suits(const StepFit& fit) {
  const Step& step = fit.step;
  if (!fit.target.hopper_gemms() || fit.in.format != Format::kFloat32) return false;
  if (!is_pooled_by_three_of_stride_two(step)) return false;
  const auto axis_suits = [](const Axis& axis) {
    return axis.step == 2 && axis.taps <= kMaxStemTaps;
  };
  return axis_suits(step.phases[0].y) && axis_suits(step.phases[0].x) && step.in.c == 3 &&
         step.in.pixel_stride == 3 && step.out.w <= kMaxStemPoolWidth &&
         step.out.c <= kStemColumns && in_pooled_vectors(fit);
}

int window_row_words(const Step& step) { return divide_up((step.kernel_w + 1) * step.in.c, 2); }

int staged_row_words(const Step& step) {
  return (step.out.w - 1) * step.in.c + window_row_words(step);
}

bool pool_windows_suit(const StepFit& fit) {
  const Step& step = fit.step;
  if (!fit.target.hopper_gemms() || fit.in.format != Format::kFloat32) return false;
  if (!is_pooled_by_two(step)) return false;
  const int rows = step.kernel_h + 1;  // that a band of one row of the pool reads
  return step.in.pixel_stride == step.in.c && window_row_words(step) * rows <= kMaxWindowWords &&
         rows * staged_row_words(step) * word_bytes(false) <= kMaxStageBytes &&
         step.out.w <= kMaxWindows && step.out.c <= kMaxWindowChannels && in_pooled_vectors(fit);
}

MapsPlan plan_maps(const Step& step, bool half) {
  MapsPlan plan;
  const int planes = half ? 1 : 2, chunks = step.in.c / kSlice;
  plan.patch_h = kMapTile + step.kernel_h - 1;
  plan.patch_w = kMapTile + step.kernel_w - 1;
  if (std::max(plan.patch_h, plan.patch_w) > kMaxPatch) return plan;
  plan.plane_bytes = divide_up(plan.patch_h * plan.patch_w * kSliceBytes, 128) * 128;
  plan.team_bytes = chunks * planes * plan.plane_bytes;
  const int steps = 2 * chunks * step.kernel_h * step.kernel_w;
  for (const int columns : {64, 32}) {
    if (columns == 64 && (!half || step.out.c <= 32)) continue;  // float32 has twice the weights
    const int weight_bytes = steps * step_bytes(columns, half);
    const int teams = std::min((kMostSharedBytes - weight_bytes) / plan.team_bytes, kMaxMapTeams);
    if (teams < kMinMapTeams) continue;
    plan.columns = columns;
    plan.weight_bytes = weight_bytes;
    plan.teams = teams;
    break;
  }
  return plan;
}

bool pool_maps_suit(const StepFit& fit) {
  const Step& step = fit.step;
  return fit.target.hopper_gemms() && fit.in.format == fit.target.operand_format() &&
         is_pooled_by_two(step) && step.in.c % kSlice == 0 && in_vectors(step.in, fit.in, 8) &&
         in_pooled_vectors(fit) && plan_maps(step, fit.target.half()).columns > 0;
}

}  // namespace facegen::cuda::hopper
