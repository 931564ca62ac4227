#include "cuda/fit/pixels.h"

#include "cuda/fit/positions.h"
#include "cuda/fit/shared_memory.h"

namespace facegen::cuda::hopper {
namespace {

// What does not depend on how the output is stored.
bool products_suit(const StepFit& fit) {
  const Step& step = fit.step;
  const View &in = step.in, &map = map_of(step);
  return fit.target.hopper_gemms() && fit.in.format == fit.target.operand_format() &&
         step.op == Op::kGemm && step.phase_count == 1 && is_same_pixel(step.phases[0].y) &&
         is_same_pixel(step.phases[0].x) && step.kernel_h == 1 && step.kernel_w == 1 &&
         map.h == in.h && map.w == in.w &&
         (in.c % (3 * kPixelsChunk) == 0 || in.c % (4 * kPixelsChunk) == 0) && map.c <= 64 &&
         in.c * (map.c <= 32 ? 32 : 64) * 4 <= kMostSharedBytes && in_vectors(in, fit.in, 8) &&
         !step.epilogue.scale && !step.epilogue.shift;
}

}  // namespace

bool pixels_suit(const StepFit& fit) {
  if (!products_suit(fit)) return false;
  const Step& step = fit.step;
  const View& add = step.epilogue.other;
  const Activation activation = step.epilogue.activation;
  if (step.finish != nullptr) {
    return step.finish->op == Op::kSoftmax && is_linear(step) && step.out.c <= 32 &&
           activation == Activation::kNone && add.buffer < 0;
  }
  return (activation == Activation::kNone || activation == Activation::kRelu) && step.out.c >= 16 &&
         in_whole_vectors(step.out, fit.out) &&
         (add.buffer < 0 || (add.pixel_stride % 8 == 0 && add.offset % 8 == 0));
}

}  // namespace facegen::cuda::hopper
