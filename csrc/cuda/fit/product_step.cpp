#include "cuda/fit/product_step.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace facegen::cuda::hopper {
namespace {

bool are_few(int32_t channels, int32_t taps) {
  return channels <= 16 && taps >= 4 && channels * taps <= kMostGathered;
}

// An axis of a convolution of one tap.
Axis same_axis(int32_t size) { return {size, 1, 1, 0, 1, 0, 1, 0, 1}; }

GatherAxis no_taps(int32_t size, int32_t taps, int32_t scale) {
  GatherAxis axis = {size, taps, scale, {}};
  std::fill_n(axis.offsets, kMostKernel, kNowhere);
  return axis;
}

// What the outputs of a lone phase read.
std::optional<GatherAxis> read_axis(const Axis& axis, int32_t kernel, int32_t size) {
  if (kernel > kMostKernel || axis.out != size || axis.out_step != 1 || axis.out_origin != 0) return {};
  GatherAxis gathered = no_taps(size, kernel, axis.step);
  for (int32_t t = 0; t < axis.taps; ++t) {
    gathered.offsets[axis.first_tap + t * axis.tap_step] = t * axis.dir + axis.base;
  }
  return gathered;
}

// Which outputs an input is read for, of all phases.
std::optional<GatherAxis> written_axis(const std::vector<Axis>& phases, int32_t kernel, int32_t size) {
  if (kernel > kMostKernel) return {};
  GatherAxis gathered = no_taps(size, kernel, phases[0].out_step);
  for (const Axis& axis : phases) {
    if (axis.step != 1 || axis.out_step != phases[0].out_step) return {};
    for (int32_t t = 0; t < axis.taps; ++t) {
      gathered.offsets[axis.first_tap + t * axis.tap_step] =
          axis.out_origin - (t * axis.dir + axis.base) * axis.out_step;
    }
  }
  return gathered;
}

std::optional<GatherMap> map_of(std::optional<GatherAxis> y, std::optional<GatherAxis> x, bool channel_first) {
  if (!y || !x) return {};
  return GatherMap{*y, *x, channel_first};
}

// The pixels of windows, and the phases of outputs.
GatherAxis window_axis(const PhaseAxis& axis) {
  GatherAxis gathered = no_taps(axis.positions, axis.window, 1);
  for (int32_t u = 0; u < axis.window; ++u) gathered.offsets[u] = axis.first + u;
  return gathered;
}
GatherAxis phase_axis(const PhaseAxis& axis) {
  GatherAxis gathered = no_taps(axis.positions, axis.stride, axis.stride);
  for (int32_t r = 0; r < axis.stride; ++r) gathered.offsets[r] = r;
  return gathered;
}

// To a product of one tap.
void make_plain(TrainingStep& step, int32_t height, int32_t width) {
  step.phases = {{same_axis(height), same_axis(width)}};
  step.kernel_h = step.kernel_w = 1;
}
// To one that something else finishes.
void leave_sums(TrainingStep& step) {
  step.bias = -1;
  step.activation = Activation::kNone;
  step.accumulate = false;
}

ProductStep lower_phases(const TrainingStep& s, const PhaseChannels& phases) {
  ProductStep lowered = {s, {1, phases.columns(), phases.lines(), 0, 0}, {}, {}, phases};
  const GatherMap windows = {window_axis(phases.y), window_axis(phases.x), false};
  const GatherMap outputs = {phase_axis(phases.y), phase_axis(phases.x), false};
  const ProductKind kind = product_kind(s);
  lowered.gather = kind == ProductKind::kInput ? outputs : windows;
  if (kind == ProductKind::kWeight) lowered.gather_dy = outputs;
  lowered.scatters = kind != ProductKind::kWeight;
  if (lowered.scatters) leave_sums(lowered.step);
  make_plain(lowered.step, phases.y.positions, phases.x.positions);
  return lowered;
}

}  // namespace

ProductStep lower_product(const TrainingStep& s, const TrainingProgram& program) {
  ProductStep plain = {s, groups_of(s, program), {}, {}, {}};
  const TrainingGroups& groups = plain.groups;
  const int32_t taps = s.kernel_h * s.kernel_w;
  const bool few_inputs = are_few(groups.ins, taps), few_outputs = are_few(groups.outs, taps);
  if (!few_outputs || few_inputs) {
    if (const auto phases = find_phases(s, program)) return lower_phases(s, *phases);
  }
  if (groups.count != 1 || s.part.groups != 0 || s.phases.empty()) return plain;
  if (s.phases.size() > kMostPhases || s.activation > Activation::kTanh) return plain;
  for (const Phase& phase : s.phases) {
    for (const Axis* axis : {&phase.y, &phase.x}) {
      if (axis->out_step > kMostPhaseSteps || axis->out_origin >= axis->out_step) return plain;
    }
  }
  const auto value = [&](int32_t index) -> const TrainingValue& {
    return program.values[static_cast<std::size_t>(index)];
  };
  const TrainingValue& x = value(s.x);  // of input dy
  const ProductKind kind = product_kind(s);
  ProductStep lowered = plain;
  if (few_inputs) {
    lowered.groups.ins *= taps;
  } else if (few_outputs) {
    lowered.groups.outs *= taps;
  } else {
    return plain;
  }
  int32_t height = x.h, width = x.w;  // of the product's rows
  lowered.scatters = few_inputs ? kind == ProductKind::kInput : kind == ProductKind::kForward;
  if (!lowered.scatters) {
    if (few_inputs || kind == ProductKind::kInput) {
      if (s.phases.size() != 1) return plain;
      const TrainingValue& rows = value(kind == ProductKind::kWeight ? s.dy : s.y);
      height = rows.h, width = rows.w;
      lowered.gather = map_of(read_axis(s.phases[0].y, s.kernel_h, height),
                              read_axis(s.phases[0].x, s.kernel_w, width), !few_inputs);
    } else {
      std::vector<Axis> y_axes, x_axes;
      for (const Phase& phase : s.phases) {
        y_axes.push_back(phase.y);
        x_axes.push_back(phase.x);
      }
      lowered.gather_dy = map_of(written_axis(y_axes, s.kernel_h, height),
                                 written_axis(x_axes, s.kernel_w, width), true);
    }
    if (!lowered.gather && !lowered.gather_dy) return plain;
  } else {
    leave_sums(lowered.step);
  }
  make_plain(lowered.step, height, width);
  return lowered;
}

}  // namespace facegen::cuda::hopper
