#include "cuda/fit/product_phases.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "cuda/fit/box.h"
#include "cuda/fit/product_step.h"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int32_t kMostChannels = 32;

// Rounded down.
int32_t floor_divide(int32_t a, int32_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }

PhaseAxis make_axis(int32_t kernel, int32_t stride, int32_t pad, int32_t outputs) {
  const int32_t first = -floor_divide(kernel - 1 - pad, stride), last = -floor_divide(-pad, stride);
  return {kernel, stride, pad, divide_up(outputs, stride), last - first + 1, first};
}

bool same(const Axis& a, const Axis& b) {
  return a.out == b.out && a.step == b.step && a.dir == b.dir && a.base == b.base && a.taps == b.taps &&
         a.first_tap == b.first_tap && a.tap_step == b.tap_step && a.out_origin == b.out_origin &&
         a.out_step == b.out_step;
}

// A phase of a transposed convolution; of one without taps, what it would read says nothing.
bool is_phase(const Axis& axis, int32_t kernel, int32_t stride, int32_t pad, int32_t phase, int32_t outputs) {
  const int32_t base = floor_divide(phase + pad, stride), first_tap = phase + pad - base * stride;
  const int32_t taps = first_tap < kernel ? divide_up(kernel - first_tap, stride) : 0;
  const int32_t out = divide_up(outputs - phase, stride);
  if (taps == 0) return axis.taps == 0 && axis.out == out && axis.out_origin == phase && axis.out_step == stride;
  return same(axis, {out, 1, -1, base, taps, first_tap, stride, phase, stride});
}

// Of the first phase that has taps.
int32_t pad_of(const Axis& axis, int32_t stride) { return axis.base * stride + axis.first_tap - axis.out_origin; }

// Of the phases of a transposed convolution, y's outside x's.
std::optional<PhaseChannels> from_phases(const TrainingStep& s, int32_t height, int32_t width) {
  const auto has_taps = [](const Phase& phase) { return phase.y.taps > 0 && phase.x.taps > 0; };
  const auto phase = std::find_if(s.phases.begin(), s.phases.end(), has_taps);
  if (phase == s.phases.end()) return {};
  const int32_t stride_y = phase->y.out_step, stride_x = phase->x.out_step;
  if (stride_y < 1 || stride_x < 1 || s.phases.size() != std::size_t(stride_y) * std::size_t(stride_x)) return {};
  const PhaseAxis y = make_axis(s.kernel_h, stride_y, pad_of(phase->y, stride_y), height);
  const PhaseAxis x = make_axis(s.kernel_w, stride_x, pad_of(phase->x, stride_x), width);
  for (std::size_t i = 0; i < s.phases.size(); ++i) {
    const auto at = static_cast<int32_t>(i);
    if (!is_phase(s.phases[i].y, y.kernel, y.stride, y.pad, at / stride_x, height)) return {};
    if (!is_phase(s.phases[i].x, x.kernel, x.stride, x.pad, at % stride_x, width)) return {};
  }
  return PhaseChannels{y, x, 0, 0};
}

// Of the convolution that is its gradient in the input.
std::optional<PhaseChannels> from_gradient(const TrainingStep& s, const TrainingValue& dy, const TrainingValue& dx) {
  if (s.phases.size() != 1) return {};
  const Axis &y = s.phases[0].y, &x = s.phases[0].x;
  if (!same(y, {dx.h, y.step, 1, y.base, s.kernel_h, 0, 1, 0, 1})) return {};
  if (!same(x, {dx.w, x.step, 1, x.base, s.kernel_w, 0, 1, 0, 1})) return {};
  return PhaseChannels{make_axis(s.kernel_h, y.step, -y.base, dy.h),
                       make_axis(s.kernel_w, x.step, -x.base, dy.w), 0, 0};
}

// Whether the three products and what is read and written besides take less time: of a position, in multiply-adds
// of three products of bfloat16. Those reach 190e12 a second in tiles of few channels, memory 3.5e12 bytes.
bool is_cheaper(const PhaseChannels& phases) {
  constexpr int64_t kOfByte = 20;
  const auto whole = [](int64_t channels) { return divide_up(channels, int64_t{kBlockChannels}) * kBlockChannels; };
  const int64_t taps = int64_t{phases.y.kernel} * phases.x.kernel;
  const int64_t lines = phases.lines(), columns = phases.columns();
  // Windows are written as an operand, those of the gradient too and read again, as outputs are.
  const int64_t bytes = 4 * (3 * columns + 2 * lines);
  return 3 * whole(lines) * whole(columns) + kOfByte * bytes < 3 * taps * whole(phases.ins) * whole(phases.outs);
}

}  // namespace

std::optional<PhaseChannels> find_phases(const TrainingStep& s, const TrainingProgram& program) {
  if (s.part.groups != 0 || s.phases.empty() || s.activation > Activation::kTanh) return {};
  const auto value = [&](int32_t index) -> const TrainingValue& {
    return program.values[static_cast<std::size_t>(index)];
  };
  const ProductKind kind = product_kind(s);
  const TrainingValue& outputs = value(kind == ProductKind::kForward ? s.y : kind == ProductKind::kInput ? s.x : s.dy);
  std::optional<PhaseChannels> found = kind == ProductKind::kInput ? from_gradient(s, outputs, value(s.y))
                                                                   : from_phases(s, outputs.h, outputs.w);
  if (!found) return {};
  const TrainingGroups groups = groups_of(s, program);
  found->ins = groups.ins, found->outs = groups.outs;
  for (const PhaseAxis* axis : {&found->y, &found->x}) {
    if (axis->stride > kMostPhaseSteps || axis->window > kMostKernel) return {};
  }
  // Where an output is smaller than the stride, some phases are nowhere.
  if (outputs.h < found->y.stride || outputs.w < found->x.stride || found->phases() < 4) return {};
  if (found->ins > kMostChannels || found->outs > kMostChannels) return {};
  if (found->columns() > kMostGathered || found->lines() > kMostGathered || !is_cheaper(*found)) return {};
  return found;
}

Axis window_sums(const PhaseAxis& axis, int32_t inputs) {
  return {inputs, 1, -1, -axis.first, axis.window, 0, 1, 0, 1};
}

}  // namespace facegen::cuda::hopper
