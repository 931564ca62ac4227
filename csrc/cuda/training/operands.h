// Float32 maps and parameters as operands of Hopper's products: two planes of bfloat16, x = hi + lo, or one of
// bfloat16 or float16.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/training/call.h"

namespace facegen::cuda {

// Lines of `channels` numbers, one after another, which become lines of `pitch`: zeros behind the channels.
struct OperandLines {
  const float* from;
  OperandTarget to;
  int64_t lines;
  int32_t channels;
};
void make_operand(const OperandLines& lines, cudaStream_t stream);

// The same of several arrays in one launch.
struct OperandBlock {
  int32_t array;
  int64_t first;  // run of 8
};
constexpr int64_t kOperandRuns = 512;  // of a block
void make_operands(const OperandLines* arrays, const OperandBlock* blocks, int64_t block_count,
                      cudaStream_t stream);

// largest = the largest magnitude of some numbers.
void find_largest(const float* numbers, int64_t count, float* largest, cudaStream_t stream);

}  // namespace facegen::cuda
