#include "cuda/training/split.h"

#include "cuda/generic/element.cuh"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {
namespace {

// Run i of 8 numbers of the lines as they will lie.
__device__ inline void split_run(const SplitLines& lines, int64_t i) {
  const int runs = lines.pitch / 8;
  const int64_t line = i / runs;
  const int channel = static_cast<int>(i - line * runs) * 8;
  const float* const from = lines.from + line * lines.channels + channel;
  float v[8];
  if (lines.channels % 8 == 0 && reinterpret_cast<uintptr_t>(lines.from) % 16 == 0) {
    const float4 first = *reinterpret_cast<const float4*>(from);
    const float4 second = *reinterpret_cast<const float4*>(from + 4);
    v[0] = first.x, v[1] = first.y, v[2] = first.z, v[3] = first.w;
    v[4] = second.x, v[5] = second.y, v[6] = second.z, v[7] = second.w;
  } else {
#pragma unroll
    for (int e = 0; e < 8; ++e) v[e] = channel + e < lines.channels ? from[e] : 0.0f;
  }
  store8<false>(Format::kSplit, lines.to, lines.plane, i * 8, v);
}

__global__ void __launch_bounds__(kBlock) split_kernel(const __grid_constant__ SplitLines lines) {
  for_each_number(lines.lines * (lines.pitch / 8), [&](int64_t i) { split_run(lines, i); });
}

__global__ void __launch_bounds__(kBlock) split_arrays_kernel(const SplitLines* arrays, const SplitBlock* blocks) {
  const SplitBlock block = blocks[blockIdx.x];
  const SplitLines lines = arrays[block.array];
  const int64_t last = min(block.first + kSplitRuns, lines.lines * (lines.pitch / 8));
  for (int64_t i = block.first + threadIdx.x; i < last; i += kBlock) split_run(lines, i);
}

}  // namespace

void run_split(const SplitLines& lines, cudaStream_t stream) {
  split_kernel<<<grid_of(lines.lines * (lines.pitch / 8)), kBlock, 0, stream>>>(lines);
  FACEGEN_CUDA_CHECK_LAUNCH("the split of a map");
}

void run_split_arrays(const SplitLines* arrays, const SplitBlock* blocks, int64_t block_count,
                      cudaStream_t stream) {
  if (block_count == 0) return;
  split_arrays_kernel<<<grid(block_count), kBlock, 0, stream>>>(arrays, blocks);
  FACEGEN_CUDA_CHECK_LAUNCH("the split of the weights");
}

}  // namespace facegen::cuda
