// Maps of layers of few channels, as products of one tap read and make them: see cuda/fit/product_step.h.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/fit/product_plan.h"
#include "cuda/training/call.h"

namespace facegen::cuda {

// A map's taps side by side, as an operand: lines of pitch of (image, y, x).
void run_gather(const TrainingMap& from, const hopper::GatherMap& gather, int64_t images,
                const OperandTarget& to, cudaStream_t stream);

// The other way: y (q, c) = activation(bias + what y holds, where it adds + the sum over the taps that q
// reads of the product's numbers there).
struct Scatter {
  const float* parts;   // (splits, images, h, w, columns)
  int32_t splits;
  int64_t part_floats;
  int32_t h, w, columns;  // of a pixel, with what is behind them
  bool channel_first;   // of columns
  TrainingPhase phases[hopper::kMostPhases];
  // Phases lie at every step_y-th row and step_x-th column; which of them has the residues, or -1.
  int32_t step_y, step_x;
  int8_t phase_at[hopper::kMostPhaseSteps][hopper::kMostPhaseSteps];
  int32_t taps;  // of the weight
  float* y;
  int32_t y_h, y_w, channels;
  const float* bias;
  Activation activation;  // at most kTanh
  float alpha;
  bool accumulate;
};
// To the output of a step, with all that it does to it: the rest is left to be said.
inline Scatter scatter_to(const TrainingCall& call, const float* bias) {
  const TrainingStep& s = call.step;
  const TrainingValue& y = *call.y.value;
  Scatter all = {};
  all.y = call.y.data;
  all.y_h = y.h, all.y_w = y.w, all.channels = y.c;
  all.bias = bias;
  all.activation = s.activation;
  all.alpha = s.alpha;
  all.accumulate = s.accumulate;
  return all;
}
void run_scatter(const Scatter& scatter, int64_t images, cudaStream_t stream);

}  // namespace facegen::cuda
