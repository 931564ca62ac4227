#include "cuda/training/operands.h"

#include <algorithm>

#include "cuda/training/launch.cuh"
#include "cuda/training/operands.cuh"

namespace facegen::cuda {
namespace {

// Run i of 8 numbers of the lines as they will lie.
__device__ inline void operand_run(const OperandLines& lines, int64_t i) {
  const int runs = lines.to.pitch / 8;
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
  store_operands(lines.to, i * 8, v);
}

__global__ void __launch_bounds__(kBlockThreads) operand_kernel(const __grid_constant__ OperandLines lines) {
  for_each_number(lines.lines * (lines.to.pitch / 8), [&](int64_t i) { operand_run(lines, i); });
}

__global__ void __launch_bounds__(kBlockThreads)
    operands_kernel(const OperandLines* arrays, const OperandBlock* blocks) {
  const OperandBlock block = blocks[blockIdx.x];
  const OperandLines lines = arrays[block.array];
  const int64_t last = min(block.first + kOperandRuns, lines.lines * (lines.to.pitch / 8));
  for (int64_t i = block.first + threadIdx.x; i < last; i += kBlockThreads) operand_run(lines, i);
}

// Bits of numbers that are not negative have these' order. A NaN's are above all.
__global__ void __launch_bounds__(kBlockThreads)
    largest_kernel(const float* numbers, int64_t count, uint32_t* largest) {
  uint32_t most = 0;
  for_each_number(count, [&](int64_t i) { most = max(most, __float_as_uint(fabsf(numbers[i]))); });
  most = __reduce_max_sync(0xFFFFFFFFu, most);
  if (threadIdx.x % 32 == 0) atomicMax(largest, most);
}

}  // namespace

void find_largest(const float* numbers, int64_t count, float* largest, cudaStream_t stream) {
  FACEGEN_CUDA_CHECK(cudaMemsetAsync(largest, 0, sizeof *largest, stream));
  constexpr unsigned kMostBlocks = 1024;
  const unsigned blocks = std::min(grid_of(count), kMostBlocks);
  largest_kernel<<<blocks, kBlockThreads, 0, stream>>>(numbers, count, reinterpret_cast<uint32_t*>(largest));
  FACEGEN_CUDA_CHECK_LAUNCH("the largest number of a map");
}

void make_operand(const OperandLines& lines, cudaStream_t stream) {
  operand_kernel<<<grid_of(lines.lines * (lines.to.pitch / 8)), kBlockThreads, 0, stream>>>(lines);
  FACEGEN_CUDA_CHECK_LAUNCH("an operand");
}

void make_operands(const OperandLines* arrays, const OperandBlock* blocks, int64_t block_count,
                      cudaStream_t stream) {
  if (block_count == 0) return;
  operands_kernel<<<grid(block_count), kBlockThreads, 0, stream>>>(arrays, blocks);
  FACEGEN_CUDA_CHECK_LAUNCH("weights as operands");
}

}  // namespace facegen::cuda
