// Sums by channels over the rows (pixels) of segments, in double precision and a fixed order.
//
// Threads add up their rows (see RowWalk), then a block its threads' sums: one split's. The block that
// finishes last among a segment's and group's splits adds those up, in their order, and hands the totals on:
// one launch does all. Double precision costs no time: in the nanosecond in which a multiprocessor of an H200
// gets 7 numbers from memory it converts 28 and adds 112.
#pragma once

#include "cuda/fit/training_plan.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {

constexpr int kWalkWarps = kWalkThreads / 32;
constexpr int kMostColumns = 32;  // channels of a block

// Thread t < columns gets in total[s] the sum over a block's threads of column t: its channels lie as theirs.
template <int kSums, int kVector>
__device__ inline void add_threads(double (&sum)[kSums][kVector], double* shared, int lanes,
                                   double (&total)[kSums]) {
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const int columns = kVector * lanes;
  for (int apart = 16; apart >= lanes; apart /= 2) {
#pragma unroll
    for (int s = 0; s < kSums; ++s) {
#pragma unroll
      for (int e = 0; e < kVector; ++e) sum[s][e] += __shfl_xor_sync(0xffffffffu, sum[s][e], apart);
    }
  }
  if (lane < lanes) {
#pragma unroll
    for (int s = 0; s < kSums; ++s) {
#pragma unroll
      for (int e = 0; e < kVector; ++e) shared[(warp * kSums + s) * columns + lane * kVector + e] = sum[s][e];
    }
  }
  __syncthreads();
  if (thread < columns) {
    for (int w = 0; w < kWalkWarps; ++w) {
#pragma unroll
      for (int s = 0; s < kSums; ++s) total[s] += shared[(w * kSums + s) * columns + thread];
    }
  }
  __syncthreads();  // shared is free again
}

// Whether this block is the last of `count` that arrive. What each has written before, the last one sees: the
// fences of one thread are for its block too, with which it has met. The counter is then 0 again.
__device__ inline bool arrives_last(uint32_t* arrivals, uint32_t count) {
  __shared__ bool last;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    last = atomicInc(arrivals, count - 1) == count - 1;
    __threadfence();
  }
  __syncthreads();
  return last;
}

// Thread t < columns gets in total[s] the sum over the splits of parts (split, kSums, columns).
template <int kSums>
__device__ inline void add_splits(const double* parts, double* shared, int splits, int columns,
                                  double (&total)[kSums]) {
  constexpr int kTogether = 16;
  const int thread = static_cast<int>(threadIdx.x), column = thread % columns, slots = kWalkThreads / columns;
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    double sum = 0.0;
    for (int first = thread / columns; first < splits; first += kTogether * slots) {
      double part[kTogether] = {};
      // Past the first level of cache, which may not have what other blocks wrote.
#pragma unroll
      for (int i = 0; i < kTogether; ++i) {
        const int split = first + i * slots;
        if (split < splits) part[i] = __ldcg(parts + (split * kSums + s) * columns + column);
      }
#pragma unroll
      for (int i = 0; i < kTogether; ++i) sum += part[i];
    }
    shared[s * kWalkThreads + thread] = sum;
  }
  __syncthreads();
#pragma unroll
  for (int s = 0; s < kSums; ++s) {
    total[s] = 0.0;
    for (int slot = 0; thread < columns && slot < slots; ++slot) {
      total[s] += shared[s * kWalkThreads + slot * columns + thread];
    }
  }
}

// Thread t < columns has in total[s] its block's sum of a column, and gets that of all splits in the last block to
// arrive: whether this is it. parts (splits, kSums, columns).
template <int kSums>
__device__ inline bool join_splits(double (&total)[kSums], double* shared, int split, int splits, int columns,
                                   double* parts, uint32_t* arrivals) {
  const int thread = static_cast<int>(threadIdx.x);
  if (splits == 1) return true;
  if (thread < columns) {
#pragma unroll
    for (int s = 0; s < kSums; ++s) parts[(split * kSums + s) * columns + thread] = total[s];
  }
  if (!arrives_last(arrivals, static_cast<uint32_t>(splits))) return false;
  add_splits(parts, shared, splits, columns, total);
  return true;
}

// Ends a block, whose threads have these sums: finish(segment, channel, sums) takes the totals. `shared`: kSums *
// kWalkThreads.
template <int kSums, int kVector, class Finish>
__device__ inline void finish_sums(const RowWalk& walk, const RowWalk::Place& at, double (&sum)[kSums][kVector],
                                   double* shared, const Finish& finish, double* parts, uint32_t* arrivals) {
  static_assert(kWalkWarps * kMostColumns <= kWalkThreads);
  const int thread = static_cast<int>(threadIdx.x), columns = walk.block_channels();
  const int64_t line = int64_t{at.segment} * walk.groups + at.group;
  double total[kSums] = {};
  add_threads(sum, shared, walk.lanes, total);
  if (!join_splits(total, shared, at.split, walk.splits, columns, parts + line * walk.splits * kSums * columns,
                   arrivals + line)) {
    return;
  }
  const int channel = at.group * columns + thread;
  if (thread < columns && channel < walk.channels) finish(at.segment, channel, total);
}

// Row::Lane, a thread's channels: read(row, i, numbers), of kMaps maps from number i on, which is where row
// begins; and add(numbers, sums). A thread reads kTogether rows at a time, and kBlocks of a multiprocessor's
// blocks fit its registers.
template <class Row, int kVector, class Finish>
__global__ void __launch_bounds__(kWalkThreads, Row::kBlocks)
    column_sums_kernel(const __grid_constant__ RowWalk walk, const __grid_constant__ Row row,
                       const __grid_constant__ Finish finish, double* parts, uint32_t* arrivals) {
  constexpr int kSums = Row::kSums, kTogether = Row::kTogether;
  static_assert(kRunRows % kTogether == 0);
  __shared__ double shared[kSums * kWalkThreads];
  const RowWalk::Place at = walk.place(blockIdx.x, threadIdx.x);
  double sum[kSums][kVector] = {};
  if (at.channel < walk.channels) {
    const typename Row::template Lane<kVector> lane(row, at.segment, at.channel);
    const int step = walk.step();
    for (int run = at.split; run < walk.runs; run += walk.splits) {
#pragma unroll
      for (int done = 0; done < kRunRows; done += kTogether) {
        const int64_t first = int64_t{run} * walk.run_rows() + done * step + at.row;
        const int rows = walk.rows_from(first);
        const int64_t begin = at.segment * walk.rows + first, i = begin * walk.channels + at.channel;
        Numbers<kVector> numbers[kTogether][Row::kMaps] = {};
#pragma unroll
        for (int r = 0; r < kTogether; ++r) {
          if (r * step < rows) lane.read(begin + r * step, i + r * step * walk.channels, numbers[r]);
        }
#pragma unroll
        for (int r = 0; r < kTogether; ++r) {
          if (r * step < rows) lane.add(numbers[r], sum);
        }
      }
    }
  }
  finish_sums(walk, at, sum, shared, finish, parts, arrivals);
}

// parts: room for walk.split_doubles. kMost: of the walk's vectors.
template <int kMost = 4, class Row, class Finish>
void column_sums(const RowWalk& walk, const Row& row, const Finish& finish, double* parts, uint32_t* arrivals,
                 cudaStream_t stream) {
  const auto kernel =
      walk.vector == kMost ? column_sums_kernel<Row, kMost, Finish> : column_sums_kernel<Row, 1, Finish>;
  kernel<<<grid(walk.blocks()), kWalkThreads, 0, stream>>>(walk, row, finish, parts, arrivals);
  FACEGEN_CUDA_CHECK_LAUNCH("sums by channels");
}

// Ends sums: to (segments, channels) (+)= sum / divisor, of one sum.
struct WriteMean {
  float* to;
  int32_t channels;
  double divisor;
  bool accumulate;
  __device__ void operator()(int64_t segment, int channel, const double (&sum)[1]) const {
    put(to[segment * channels + channel], static_cast<float>(sum[0] / divisor), accumulate);
  }
};

}  // namespace facegen::cuda
