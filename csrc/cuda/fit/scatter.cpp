#include "cuda/fit/scatter.h"

#include "cuda/fit/box.h"

namespace facegen::cuda::hopper {
namespace {

bool has_sizes(const Step& step, const ScatterSizes& sizes) {
  return step.kernel_h == sizes.kernel && step.kernel_w == sizes.kernel &&
         step.in.w == sizes.width && step.in.c <= sizes.blocks * kBlockChannels && step.in.c % 8 == 0 &&
         step.out.c <= kScatterChannels && step.in.h % 2 == 0 && step.out.h == 2 * step.in.h &&
         step.out.w == 2 * step.in.w;
}

// Whether output o = 2 i + k - 1 for both phases of an axis.
bool is_same_padding(const Axis& axis, int kernel) {
  const int o = axis.out_origin;
  return axis.step == 1 && axis.dir == -1 && axis.out_step == 2 && axis.tap_step == 2 &&
         axis.first_tap == 1 - o && axis.base == o && axis.taps == (kernel + o) / 2;
}

}  // namespace

bool scatter_suits(const StepFit& fit) {
  const Step& step = fit.step;
  if (!fit.target.hopper_gemms() || fit.in.format != fit.target.operand_format() ||
      fit.out.format != Format::kFloat32 || step.phase_count != 4 ||
      !is_sum_and_bias(step.epilogue) ||
      !(has_sizes(step, kScatterFive) || has_sizes(step, kScatterFour))) {
    return false;
  }
  for (int p = 0; p < step.phase_count; ++p) {
    if (!is_same_padding(step.phases[p].y, step.kernel_h)) return false;
    if (!is_same_padding(step.phases[p].x, step.kernel_w)) return false;
  }
  return in_vectors(step.in, fit.in, 8);  // the copy engine moves 16 bytes at a time
}

}  // namespace facegen::cuda::hopper
