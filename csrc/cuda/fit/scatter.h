// The last layer of a generator on Hopper: conv_transpose2d, 5x5 or 4x4, stride 2, to at most 3
// channels.
#pragma once

#include "cuda/fit/step_fit.h"

namespace facegen::cuda::hopper {

constexpr int kScatterChannels = 3;

// Kernel, pixels of an input row, and most blocks of 64 channels of the two layers that there are.
struct ScatterSizes {
  int kernel, width, blocks;
};
constexpr ScatterSizes kScatterFive = {5, 32, 1}, kScatterFour = {4, 128, 2};

// Whether scatter.cu can do all of the step.
bool scatter_suits(const StepFit& fit);

}  // namespace facegen::cuda::hopper
