// Float32 maps and parameters as two planes of bfloat16, x = hi + lo, for the products of Hopper.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace facegen::cuda {

// Lines of `channels` numbers, one after another, which become lines of `pitch`: zeros behind the channels.
struct SplitLines {
  const float* from;
  uint16_t* to;   // hi, (lines, pitch)
  int64_t plane;  // from hi to lo
  int64_t lines;
  int32_t channels, pitch;  // the pitch is a multiple of 8
};
void run_split(const SplitLines& lines, cudaStream_t stream);

// The same of several arrays in one launch.
struct SplitBlock {
  int32_t array;
  int64_t first;  // run of 8
};
constexpr int64_t kSplitRuns = 512;  // of a block
void run_split_arrays(const SplitLines* arrays, const SplitBlock* blocks, int64_t block_count,
                      cudaStream_t stream);

}  // namespace facegen::cuda
