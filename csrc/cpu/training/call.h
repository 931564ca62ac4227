// One step on one batch, as the ops of training see it.
#pragma once

#include <cstdint>

#include "cpu/kernels.h"
#include "cpu/training/kernels.h"
#include "cpu/training/peers.h"
#include "training_program.h"

namespace facegen::cpu {

// A value's images, one after another without gaps.
struct Batch {
  float* data = nullptr;
  const TrainingValue* value = nullptr;
  int64_t floats() const { return value->floats(); }  // of an image
  float* image(int64_t i) const { return data + i * value->floats(); }
};

// The batch of which some images are computed at once.
struct WholeBatch {
  int64_t images;
  int64_t first;  // of its images, those of this call
};

struct TrainingStepCall {
  const TrainingStep& step;
  const Kernels& kernels;
  const TrainingKernels& training;
  int64_t images;
  int threads;
  Batch x, other, y, dy, dx;
  WholeBatch whole;
  Sharing sharing;
  GradientRow activation() const { return {step.activation, step.alpha, step.limit}; }
};

}  // namespace facegen::cpu
