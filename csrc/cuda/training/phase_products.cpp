// What is made of a product whose channels are phases: see cuda/fit/product_phases.h.
#include "cuda/training/phase_maps.h"
#include "cuda/training/products.h"
#include "cuda/training/thin_maps.h"

namespace facegen::cuda {

// Outputs from their phases, or inputs from the windows that have them.
void Products::finish_phases(const hopper::ProductStep& product, const TrainingCall& call,
                             const hopper::ProductPlan& plan, const float* bias) const {
  using hopper::ProductKind;
  const TrainingStep& s = call.step;
  const TrainingValue& y = *call.y.value;
  const hopper::PhaseChannels& phases = *product.phases;
  const int32_t h = phases.y.positions, w = phases.x.positions;
  const auto pitch = static_cast<int32_t>(hopper::part_pitch(hopper::product_channels(product).columns));
  const int64_t part_floats = call.images * h * w * pitch;
  const auto* const parts = reinterpret_cast<const float*>(call.scratch);
  if (plan.kind == ProductKind::kForward) {
    run_phase_outputs({parts, plan.splits, part_floats, h, w, pitch, phases.y.stride, phases.x.stride, call.y.data,
                       y.h, y.w, y.c, bias, s.activation, s.alpha, s.accumulate},
                      call.images, call.stream);
    return;
  }
  Scatter all = scatter_to(call, bias);
  all.parts = parts;
  all.splits = plan.splits;
  all.part_floats = part_floats;
  all.h = h, all.w = w, all.columns = pitch;
  all.phases[0] = {window_sums(phases.y, y.h), window_sums(phases.x, y.w), phases.x.window, y.w};
  all.step_y = all.step_x = 1;  // and phase_at is 0
  all.taps = phases.pixels();
  run_scatter(all, call.images, call.stream);
}

}  // namespace facegen::cuda
