// A softmax over the channels and the 1x1 convolution that reads it, as one step.
#pragma once

#include "cuda/fit/positions.h"
#include "cuda/fit/step_fit.h"

namespace facegen::cuda {

constexpr int kSoftmaxChannels = 512, kSoftmaxOutputs = 4;  // at most

// Whether softmax_gemm.cu can do all of the step.
inline bool softmax_gemm_suits(const StepFit& fit) {
  const Step& step = fit.step;
  return fit.target.kernels == "auto" && step.softmax_input &&
         fit.in.format == fit.target.value_format() && step.phase_count == 1 &&
         step.in.c <= kSoftmaxChannels && step.out.c <= kSoftmaxOutputs &&
         is_same_pixel(step.phases[0].y) && is_same_pixel(step.phases[0].x) &&
         step.out.h == step.in.h && step.out.w == step.in.w;
}

}  // namespace facegen::cuda
