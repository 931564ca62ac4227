// What training does to maps without weights: pools, activations, copies, resampling, dropout.
#pragma once

#include "cpu/training/call.h"

namespace facegen::cpu {

void activate(const TrainingStepCall& call);
void activate_gradient(const TrainingStepCall& call);
void max_pool(const TrainingStepCall& call);
void max_pool_gradient(const TrainingStepCall& call);
void global_avg_pool(const TrainingStepCall& call);
void global_avg_pool_gradient(const TrainingStepCall& call);
void copy(const TrainingStepCall& call);
void resample(const TrainingStepCall& call);
void resample_gradient(const TrainingStepCall& call);
void dropout(const TrainingStepCall& call, uint64_t seed, uint64_t training_step);

}  // namespace facegen::cpu
