// What products whose channels are phases read and make, between their layouts and the layer's: see
// cuda/fit/product_phases.h. Their maps' windows and phases are gathered, and windows added up, by thin_maps.h.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/fit/product_phases.h"
#include "cuda/training/call.h"

namespace facegen::cuda {

// W of a weight, as an operand.
void make_phase_weight(const hopper::PhaseChannels& phases, const float* weight, const OperandTarget& to,
                       cudaStream_t stream);

// y (q, c) = activation(bias + what y holds, where it adds + the product's number of q's phase and position).
struct PhaseOutputs {
  const float* parts;  // (splits, images, h, w; y phase, x phase, channel at a pitch), h x w being positions
  int32_t splits;
  int64_t part_floats;
  int32_t h, w, pitch;
  int32_t stride_y, stride_x;
  float* y;
  int32_t y_h, y_w, channels;
  const float* bias;
  Activation activation;  // at most kTanh
  float alpha;
  bool accumulate;
};
void run_phase_outputs(const PhaseOutputs& outputs, int64_t images, cudaStream_t stream);

// gradient (output channel, tap, input channel) of parts (splits, columns of W, lines of W at a pitch).
struct PhaseGradients {
  hopper::PhaseChannels phases;
  const float* parts;
  int32_t splits, pitch;
  float* gradient;
};
void add_phase_gradient_parts(const PhaseGradients& sums, cudaStream_t stream);

}  // namespace facegen::cuda
