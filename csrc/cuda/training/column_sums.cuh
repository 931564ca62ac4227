// Sums by channels over the rows (pixels) of segments, in double precision and a fixed order.
//
// A block has `lanes` channels and every (256 / lanes)-th row of a split; its threads' sums are added in a
// tree, and a second kernel adds the splits' likewise.
#pragma once

#include "cuda/fit/training_plan.h"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {

// Adds up the sums of a block's threads, `lanes` side by side: thread t < lanes has those of its lane.
template <int kSums>
__device__ inline void add_rows(double (&sum)[kSums], double (*shared)[kSumThreads], int lanes) {
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int s = 0; s < kSums; ++s) shared[s][thread] = sum[s];
  for (int apart = kSumThreads / 2; apart >= lanes; apart /= 2) {
    __syncthreads();
    if (thread >= apart) continue;
#pragma unroll
    for (int s = 0; s < kSums; ++s) shared[s][thread] += shared[s][thread + apart];
  }
  __syncthreads();
#pragma unroll
  for (int s = 0; s < kSums; ++s) sum[s] = shared[s][thread % lanes];
}

// row(segment, row within all, channel, sums) adds what a number gives. to: (segment, split, sum, channel)
template <int kSums, class Row>
__global__ void __launch_bounds__(kSumThreads)
    column_sums_kernel(const __grid_constant__ ColumnSums plan, const __grid_constant__ Row row, double* to) {
  __shared__ double shared[kSums][kSumThreads];
  const auto groups = static_cast<uint32_t>(plan.channel_groups());
  const auto splits = static_cast<uint32_t>(plan.splits);
  const int channel = static_cast<int>(blockIdx.x % groups) * plan.lanes + static_cast<int>(threadIdx.x) % plan.lanes;
  const int64_t split = blockIdx.x / groups % splits, segment = blockIdx.x / groups / splits;
  const int64_t first = segment * plan.rows + split * plan.split_rows;
  const int64_t last = segment * plan.rows + min(plan.rows, (split + 1) * plan.split_rows);
  double sum[kSums] = {};
  if (channel < plan.channels) {
    for (int64_t r = first + static_cast<int>(threadIdx.x) / plan.lanes; r < last; r += kSumThreads / plan.lanes) {
      row(segment, r, channel, sum);
    }
  }
  add_rows(sum, shared, plan.lanes);
  if (static_cast<int>(threadIdx.x) >= plan.lanes || channel >= plan.channels) return;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    to[((segment * plan.splits + split) * kSums + s) * plan.channels + channel] = sum[s];
  }
}

// total (segment, width) = the sum of parts (segment, split, width)
static __global__ void __launch_bounds__(kSumThreads)
    add_splits_kernel(const double* parts, double* total, int splits, int64_t width) {
  __shared__ double shared[1][kSumThreads];
  constexpr int kLanes = 32;
  const auto groups = static_cast<uint32_t>((width + kLanes - 1) / kLanes);
  const int64_t at = int64_t{blockIdx.x % groups} * kLanes + threadIdx.x % kLanes;
  const int64_t segment = blockIdx.x / groups;
  double sum[1] = {};
  if (at < width) {
    for (int split = static_cast<int>(threadIdx.x) / kLanes; split < splits; split += kSumThreads / kLanes) {
      sum[0] += parts[(segment * splits + split) * width + at];
    }
  }
  add_rows(sum, shared, kLanes);
  if (threadIdx.x < kLanes && at < width) total[segment * width + at] = sum[0];
}

inline void add_splits(const double* parts, double* total, int64_t segments, int splits, int64_t width,
                       cudaStream_t stream) {
  const int64_t blocks = segments * divide_up(width, int64_t{32});
  add_splits_kernel<<<grid(blocks), kSumThreads, 0, stream>>>(parts, total, splits, width);
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of splits");
}

// The totals, (segment, sum, channel), which lie in the scratch; what is behind them there is free.
struct Totals {
  const double* sums;
  double* free;
};
template <int kSums, class Row>
Totals column_sums(const ColumnSums& plan, const Row& row, char* scratch, cudaStream_t stream) {
  auto* const parts = reinterpret_cast<double*>(scratch);
  const int64_t width = int64_t{kSums} * plan.channels;
  double* const total = parts + plan.segments * plan.splits * width;
  const int64_t blocks = plan.segments * plan.splits * plan.channel_groups();
  column_sums_kernel<kSums><<<grid(blocks), kSumThreads, 0, stream>>>(plan, row, parts);
  FACEGEN_CUDA_CHECK_LAUNCH("sums by channels");
  if (plan.splits == 1) return {parts, total};
  add_splits(parts, total, plan.segments, plan.splits, width, stream);
  return {total, total + plan.segments * width};
}

static __global__ void __launch_bounds__(kBlock)
    write_means_kernel(const double* sums, double divisor, float* to, int64_t count, bool accumulate) {
  for_each_number(count, [&](int64_t i) { put(to[i], static_cast<float>(sums[i] / divisor), accumulate); });
}

// to (+)= sums / divisor
inline void write_means(const double* sums, double divisor, float* to, int64_t count, bool accumulate,
                        cudaStream_t stream) {
  write_means_kernel<<<grid_of(count), kBlock, 0, stream>>>(sums, divisor, to, count, accumulate);
  FACEGEN_CUDA_CHECK_LAUNCH("the end of a sum by channels");
}

}  // namespace facegen::cuda
