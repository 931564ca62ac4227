// The end of a step on a GPU: whether all numbers are finite, the gradient's length, and the optimizer.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/training/begin.h"
#include "cuda/training/call.h"
#include "optimizer_numbers.h"

namespace facegen::cuda {

// Of one parameter: all that stays the same from step to step.
struct UpdatedArray : OptimizerConstants {
  float* parameter;
  const float* gradient;
  float* first;    // momentum, or the mean of gradients; null for SGD without momentum
  float* second;   // the mean of their squares
  float* average;  // or null
  int64_t floats;
  bool sgd;
  WeightRounding rounding;
  uint32_t stream;  // of what is drawn for it
};

// Numbers of an array that a block has.
struct UpdateBlock {
  int32_t array;
  int64_t first;
};

// `step`: of the call.
void run_updates(const UpdatedArray* arrays, const OptimizerNumbers* numbers, const UpdateBlock* blocks,
                 int64_t block_count, const StepNumbers* step, const StepState* state, cudaStream_t stream);

// By ranks: not 0 where one has a kept value that is not finite. Zeros between steps.
struct KeptFlags {
  int32_t* not_finite;
  int32_t count;
};

// *state: the gradient's length, its scale, and whether all is finite, losses and kept values among it, in this
// step and in those before, since the last that was not. The end's results are it and the losses, and its cursor
// moves on. `parts` holds a double for every kUpdateNumbers floats. Flags become zeros again.
void find_state(const float* gradients, int64_t floats, double* parts, const double* losses,
                int64_t loss_count, const KeptFlags& kept, float clip_norm, StepState* state, const StepEnd& end,
                cudaStream_t stream);

// y += x
void add_numbers(const float* x, float* y, int64_t count, cudaStream_t stream);

// *not_finite becomes 1 where a number is not finite.
void check_finite(const float* x, int64_t count, int32_t* not_finite, cudaStream_t stream);

// *place becomes the lowest index of a number that is not finite, or stays what it is.
void find_not_finite(const float* x, int64_t count, unsigned long long* place, cudaStream_t stream);

}  // namespace facegen::cuda
