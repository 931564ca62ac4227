#include "algorithms.h"

#include "divide_up.h"
#include "winograd_transform.h"

namespace facegen {
namespace {

// Of im2col's matrix: what_it_takes tells people.
constexpr int64_t kMostFloats = int64_t{1} << 28;

// Whether each grid of the axis has at most kWinogradTaps taps, and one more than 1.
bool winograd_cuts(const Axis& axis) {
  if (axis.step != 1 && axis.dir != 1) return false;
  const int64_t taps = divide_up(axis.taps, axis.step);
  return axis.dir != 0 && taps >= 2 && taps <= kWinogradTaps;
}

}  // namespace

bool im2col_takes(const Step& step) {
  if (step.kernel_w > kMostFloats / step.in.c) return false;
  if (step.kernel_h > kMostFloats / step.in.c / step.kernel_w) return false;
  return im2col_depth(step) <= kMostFloats / (int64_t{step.out.h} * step.out.w);
}

bool winograd_takes(const Step& step) {
  for (int i = 0; i < step.phase_count; ++i) {
    if (!winograd_cuts(step.phases[i].y) || !winograd_cuts(step.phases[i].x)) return false;
  }
  return true;
}

const char* what_it_takes(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kWinograd:
      return "filters of 2 to 5 taps on both axes, as each phase of a transposed convolution has "
             "them, or each of the grids that a stride makes of the input";
    case Algorithm::kFft:
      return "layers of stride 1, or transposed ones, whose windows reach over at most 64 pixels";
    case Algorithm::kIm2col:
    case Algorithm::kStrassen: return "layers whose matrix of an image has at most 1 GiB";
    default: return "layers of float32 without anything merged into them";
  }
}

}  // namespace facegen
