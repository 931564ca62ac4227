// Convolutions of each channel by itself, and their gradients. Weights are (channels, kernel_h, kernel_w).
#pragma once

#include "cpu/training/call.h"

namespace facegen::cpu {

void depthwise(const TrainingStepCall& call, const float* weight, const float* bias);
void depthwise_gradient(const TrainingStepCall& call, const float* weight);
void depthwise_weight_gradient(const TrainingStepCall& call, double* gradient);

}  // namespace facegen::cpu
