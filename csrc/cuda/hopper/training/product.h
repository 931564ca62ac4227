// The products of training on Hopper: see product.cu, and cuda/fit/product_plan.h for what they are.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/fit/product_plan.h"
#include "cuda/training/call.h"

namespace facegen::cuda::hopper {

// The kernel's argument.
struct ProductArguments {
  CUtensorMap a, b;  // of maps of operands; of forward and input, b is the weight's: (plane, output, tap, input)
  TrainingPhase phases[kMostPhases];
  ProductPlan plan;
  int32_t images, a_h, a_w;
  int32_t columns;   // that exist
  int32_t channels;  // of a tap of the weight's gradient
  // Forward, input: the map that is made, or the first part's, of the same layout. Weight: the first part's
  // sums, (tap, input channel, output channel at a pitch).
  float* out;
  int64_t out_image_floats, part_floats;
  int32_t out_pitch;  // floats from a pixel, or line, to the next; a multiple of 4, as all these
  const float* largest;  // null, or of an operand that was scaled by it: see operand_scale
  // Whether nothing of what follows is there. It is where plan.finishes: columns then are whole vectors of 4, and
  // of 8 of an operand.
  bool is_plain;
  const float* bias;
  Activation activation;  // at most kLeakyRelu
  float alpha;
  bool accumulate;
  const float* gate;  // null, or of the made map's layout: where it is not above 0 the gradient is that times
  float gate_slope;   // a slope
  // What is stored, as 16 rows of 32 columns: (column, x, y, image, part) of each phase, or of a weight's gradient
  // (column, channel, tap, 0, part).
  CUtensorMap boxes[kMostPhases];
  OperandTarget operand;  // where the map that is made goes besides; of whole vectors of channels
};

void launch_product(const ProductArguments& arguments, int multiprocessors, cudaStream_t stream);

}  // namespace facegen::cuda::hopper
