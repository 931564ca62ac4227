// Maps that are made pixel by pixel from others of their shape: blocks walk them as RowWalk says, from the
// last row to the first. What the kernel before has read or written last is still in the cache.
#pragma once

#include "cuda/fit/training_plan.h"
#include "cuda/training/call.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {

// Where they go.
struct MadeMap {
  float* to;
  int32_t channels;
  bool accumulate;
  OperandTarget operand;
};

// To the planes of an operand, from its number `at` on: the bits of store_operands (operands.cuh), of formats
// of bfloat16. Threads side by side fill whole sectors of 32 bytes.
template <int kVector>
__device__ __forceinline__ void write_operand(const OperandTarget& target, int64_t at, const Numbers<kVector>& n) {
  uint16_t* const to = target.to + at;
  const bool has_lo = target.format == hopper::OperandFormat::kSplit;
  uint32_t hi[2], lo[2];
  if constexpr (kVector == 4) {
    split_pair<false>(n.v[0], n.v[1], hi[0], lo[0]);
    split_pair<false>(n.v[2], n.v[3], hi[1], lo[1]);
    *reinterpret_cast<uint2*>(to) = make_uint2(hi[0], hi[1]);
    if (has_lo) *reinterpret_cast<uint2*>(to + target.plane) = make_uint2(lo[0], lo[1]);
  } else {
    split_pair<false>(n.v[0], 0.0f, hi[0], lo[0]);
    to[0] = static_cast<uint16_t>(hi[0]);
    if (has_lo) to[target.plane] = static_cast<uint16_t>(lo[0]);
  }
}

// Arguments::Lane, a thread's channels: read(i, numbers), of kMaps maps from number i on, and
// make(numbers). A thread reads kTogether rows at a time, and kBlocks of a multiprocessor's blocks fit
// its registers. The map may be one of those that are read.
template <class Arguments, int kVector>
__global__ void __launch_bounds__(kWalkThreads, Arguments::kBlocks)
    pixels_kernel(const __grid_constant__ RowWalk walk, const __grid_constant__ Arguments arguments,
                  const __grid_constant__ MadeMap map) {
  constexpr int kTogether = Arguments::kTogether;
  static_assert(kRunRows % kTogether == 0);
  const RowWalk::Place at = walk.place(blockIdx.x, threadIdx.x);
  if (at.channel >= walk.channels) return;
  const int64_t begin = at.segment * walk.rows;
  const int step = walk.step();
  if (at.channel >= map.channels) {  // zeros that an operand has behind its channels
    const Numbers<kVector> zeros = {};
    for (int64_t row = int64_t{at.split} * step + at.row; row < walk.rows; row += int64_t{walk.splits} * step) {
      write_operand(map.operand, (begin + row) * map.operand.pitch + at.channel, zeros);
    }
    return;
  }
  const typename Arguments::template Lane<kVector> lane(arguments, at.segment, at.channel);
  for (int run = walk.runs - 1 - at.split; run >= 0; run -= walk.splits) {
#pragma unroll
    for (int done = 0; done < kRunRows; done += kTogether) {
      const int64_t first = int64_t{run} * walk.run_rows() + done * step + at.row;
      const int rows = walk.rows_from(first);
      const int64_t i = (begin + first) * map.channels + at.channel;
      Numbers<kVector> numbers[kTogether][Arguments::kMaps] = {}, v[kTogether];
#pragma unroll
      for (int r = 0; r < kTogether; ++r) {
        if (r * step < rows) lane.read(i + r * step * map.channels, numbers[r]);
      }
#pragma unroll
      for (int r = 0; r < kTogether; ++r) v[r] = lane.make(numbers[r]);
      if (map.accumulate) {
        Numbers<kVector> old[kTogether] = {};
#pragma unroll
        for (int r = 0; r < kTogether; ++r) {
          if (r * step < rows) old[r] = load_numbers<kVector>(map.to + i + r * step * map.channels);
        }
#pragma unroll
        for (int r = 0; r < kTogether; ++r) {
#pragma unroll
          for (int e = 0; e < kVector; ++e) v[r].v[e] = old[r].v[e] + v[r].v[e];
        }
      }
#pragma unroll
      for (int r = 0; r < kTogether; ++r) {
        if (r * step < rows && !map.operand.alone) store_numbers(map.to + i + r * step * map.channels, v[r]);
      }
      if (map.operand.to == nullptr) continue;
      const int64_t to = (begin + first) * map.operand.pitch + at.channel;
#pragma unroll
      for (int r = 0; r < kTogether; ++r) {
        if (r * step < rows) write_operand(map.operand, to + r * step * map.operand.pitch, v[r]);
      }
    }
  }
}

template <class Arguments>
void make_pixels(const Arguments& arguments, const MadeMap& map, int64_t segments, int64_t rows, int32_t vector,
                 cudaStream_t stream) {
  const int32_t columns = map.operand.to == nullptr ? map.channels : map.operand.pitch;
  const RowWalk walk = plan_pixels(segments, rows, columns, vector);
  const auto kernel = vector == 4 ? pixels_kernel<Arguments, 4> : pixels_kernel<Arguments, 1>;
  kernel<<<grid(walk.blocks()), kWalkThreads, 0, stream>>>(walk, arguments, map);
  FACEGEN_CUDA_CHECK_LAUNCH("a map made pixel by pixel");
}

}  // namespace facegen::cuda
