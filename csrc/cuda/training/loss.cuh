// What the kernels of losses share: see cuda/fit/loss_plan.h for how images are cut.
#pragma once

#include <algorithm>

#include "cuda/fit/loss_plan.h"
#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {

struct LossArguments {
  const float* x;
  float* dx;
  const void* target;
  double* losses;   // of the part
  int64_t images;   // of the batch
  int64_t pixels;   // of an image
  int32_t channels;
  double weight;
  bool accumulate;
  LossPlan plan;
  double* sums;  // (images of the launch, splits)
  uint32_t* arrivals;
  int32_t first;  // image of the launch
  OperandTarget operand;
  __device__ int64_t floats() const { return pixels * channels; }
};

// Which of an image's splits a block has. The last images come first: they are still in the cache.
struct LossBlock {
  int32_t line, split;  // its image in the launch
  int64_t image;
  __device__ explicit LossBlock(const LossArguments& a) {
    const auto splits = static_cast<uint32_t>(a.plan.splits);
    const uint32_t block = gridDim.x - 1 - blockIdx.x;
    line = static_cast<int32_t>(block / splits);
    split = static_cast<int32_t>(block % splits);
    image = int64_t{a.first} + line;
  }
};

// The sum over a block's threads, which each of them gets.
__device__ inline double block_sum(double sum) {
  __shared__ double shared[kLossThreads / 32];
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
  __syncthreads();  // what a former sum was read from
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = sum;
  __syncthreads();
  double all = 0.0;
#pragma unroll
  for (int warp = 0; warp < kLossThreads / 32; ++warp) all += shared[warp];
  return all;
}

// Ends a block: the image's loss is `share` of the sum over all its splits' threads.
__device__ inline void finish_loss(const LossArguments& a, const LossBlock& block, double sum, double share) {
  sum = block_sum(sum);
  const int splits = a.plan.splits, thread = static_cast<int>(threadIdx.x);
  if (splits > 1) {
    double* const sums = a.sums + int64_t{block.line} * splits;
    if (thread == 0) sums[block.split] = sum;
    if (!arrives_last(a.arrivals + block.line, static_cast<uint32_t>(splits))) return;
    // Past the first level of cache, which may not have what other blocks wrote.
    sum = block_sum(thread < splits ? __ldcg(sums + thread) : 0.0);
  }
  if (thread == 0) a.losses[block.image] = sum * share;
}

// launch(arguments, blocks), for as many images at a time as there are counters of arrivals.
template <class Launch>
void launch_loss(LossArguments a, int64_t images, const Launch& launch) {
  const int64_t most = a.plan.splits == 1 ? images : kArrivals;
  for (int64_t first = 0; first < images; first += most) {
    a.first = static_cast<int32_t>(first);
    launch(a, grid(std::min(most, images - first) * a.plan.splits));
    FACEGEN_CUDA_CHECK_LAUNCH("a loss");
  }
}

// ---- cross_entropy.cu: of labels and of shares
void run_cross_entropy(const TrainingCall& call, const LossArguments& a);
void run_soft_cross_entropy(const TrainingCall& call, const LossArguments& a);

}  // namespace facegen::cuda
