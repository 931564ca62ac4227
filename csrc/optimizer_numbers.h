// What an optimizer's step takes beside its arrays: computed in double precision, rounded once.
#pragma once

#include <cstdint>

namespace facegen {

struct TrainingStep;

// The same in every step.
struct OptimizerConstants {
  float weight_decay, momentum;
  bool nesterov;
  // Adam: 1 - beta1, beta2, 1 - beta2
  float rest1, beta2, rest2, eps;
};

// Those of one step.
struct OptimizerNumbers {
  float rate;
  // Adam: rate / correction of the first moment, root of the second's
  float step_size, root_correction2;
  float shrink;    // AdamW's decay of the parameter: 1 - rate * weight decay
  int32_t starts;  // whether it is the first
  float average_rest;
};

// Of a kUpdate.
OptimizerConstants constants_of(const TrainingStep& update);
// `rates`: those of the call, of which it takes its own; null: all are 0. `step`: from 0.
OptimizerNumbers numbers_of(const TrainingStep& update, const double* rates, uint64_t step);

}  // namespace facegen
