// Batch, instance, group and layer norm in training, and their gradients: see grad/steps for the formulas.
#pragma once

#include "cpu/training/call.h"

namespace facegen::cpu {

struct NormArrays {
  const float* gamma;
  const float* beta;
  float* mean;        // stored ones
  float* var;
  float* statistics;  // (3, channels): mean, 1 / deviation, variance; of an instance norm
                      // (images, 2, channels), of a layer norm (images, pixels, 2)
  double* gamma_gradient;
  double* beta_gradient;
};

void batch_norm(const TrainingStepCall& call, const NormArrays& arrays);
void batch_norm_gradient(const TrainingStepCall& call, const NormArrays& arrays);
void instance_norm(const TrainingStepCall& call, const NormArrays& arrays);
void instance_norm_gradient(const TrainingStepCall& call, const NormArrays& arrays);
void layer_norm(const TrainingStepCall& call, const NormArrays& arrays);  // layer_norm.cpp
void layer_norm_gradient(const TrainingStepCall& call, const NormArrays& arrays);
void update_statistics(const TrainingStepCall& call, const NormArrays& arrays);

// gradient[c] = the sum of dy over images and pixels
void bias_gradient(const TrainingStepCall& call, double* gradient);

}  // namespace facegen::cpu
