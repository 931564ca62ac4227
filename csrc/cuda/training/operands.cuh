// Stores of operands of Hopper's products.
#pragma once

#include "cuda/generic/element.cuh"
#include "cuda/generic/operand_scale.cuh"
#include "cuda/training/call.h"

namespace facegen::cuda {

// Eight neighbouring numbers, from number `at` (a multiple of 8) of the target on.
__device__ inline void store_operands(const OperandTarget& to, int64_t at, float (&v)[8]) {
  if (to.format == hopper::OperandFormat::kSplit) {
    return store8<false>(Format::kSplit, to.to, to.plane, at, v);
  }
  const float scale = to.largest == nullptr ? 1.0f : operand_scale(*to.largest);
  uint32_t pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float x = v[2 * i] * scale, y = v[2 * i + 1] * scale;
    pairs[i] = to.format == hopper::OperandFormat::kFloat16 ? bits(__floats2half2_rn(x, y))
                                                            : bits(__floats2bfloat162_rn(x, y));
  }
  store16(to.to + at, pairs);
}

}  // namespace facegen::cuda
