// The steps that are not a GEMM, each split over images and rows of pixels.
#pragma once

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "program.h"

namespace facegen::cpu {

struct StepCall {
  const Step& step;
  const Kernels& kernels;
  int64_t images;
  Images in, out, other;
  int threads;
};

void max_pool(const StepCall& call);
void instance_norm(const StepCall& call);
void softmax(const StepCall& call);
void upsample_bilinear(const StepCall& call);
void pointwise(const StepCall& call);

}  // namespace facegen::cpu
