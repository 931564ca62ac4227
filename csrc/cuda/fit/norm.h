// The per-image norm on Hopper, in one pass over memory.
#pragma once

#include "cuda/fit/step_fit.h"

namespace facegen::cuda::hopper {

constexpr int kNormChannels = 8;  // of a thread: one vector
constexpr int kThreadsAPixel = 2;
constexpr int kMaxNormThreads = 512;
constexpr int kMaxNormParts = 16;
constexpr int kMaxNormPixels = 4;  // of a thread and part

// Whether norm.cu can do all of the step: its second output and slices to add up included.
inline bool norm_suits(const StepFit& fit) {
  const Step& step = fit.step;
  const auto even = [](const View& view) {
    return view.pixel_stride % kNormChannels == 0 && view.offset % kNormChannels == 0;
  };
  return fit.target.kernels == "auto" && fit.target.major == 9 && step.op == Op::kInstanceNorm &&
         step.groups == step.in.c &&
         step.in.c % kNormChannels == 0 && even(step.in) && even(step.out) &&
         (step.copy.buffer < 0 || even(step.copy)) && step.epilogue.other.buffer < 0 &&
         int64_t{step.in.h} * step.in.w <=
             kMaxNormParts * kMaxNormThreads / kThreadsAPixel * kMaxNormPixels;
}

}  // namespace facegen::cuda::hopper
