// Products of maps and of their channels in training: gates, PReLU, softmax, and channels that move.
#pragma once

#include "cpu/training/call.h"

namespace facegen::cpu {

void multiply(const TrainingStepCall& call);
void multiply_sum(const TrainingStepCall& call);
void prelu(const TrainingStepCall& call, const float* slopes);
// `gradient`: (channels), of the slopes, or null.
void prelu_gradient(const TrainingStepCall& call, const float* slopes, double* gradient);
void softmax(const TrainingStepCall& call);
void softmax_gradient(const TrainingStepCall& call);
void shuffle(const TrainingStepCall& call);
void rearrange(const TrainingStepCall& call);

}  // namespace facegen::cpu
