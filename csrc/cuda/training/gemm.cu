// Convolutions, their transposes and linear layers, and their gradients in x:
//
//   y (row, column) = activation(sum over taps and channels of x(row; tap, channel) w(column; tap, channel)
//                                + bias + what y holds, where it adds)
//
// A phase is one launch. Its x is read where it lies (phase_input.cuh); so are the weights, (output channel, tap,
// input channel): they change with each step. For the gradient in x, whose columns are input channels, they come
// with columns side by side, and ldmatrix transposes them (mma_tile.cuh).
//
// Where C has few tiles, blocks take parts of the depth, whose sums a second kernel adds in order.
#include "cuda/generic/element.cuh"
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/mma_tile.cuh"
#include "cuda/training/numbers.cuh"
#include "cuda/training/part_sums.cuh"
#include "cuda/training/phase_input.cuh"
#include "cuda/training/ramp.cuh"
#include "cuda/training/tiles.cuh"

namespace facegen::cuda {
namespace {

using namespace mma_tile;

struct GemmArguments {
  PhaseInput in;
  const float* weight;  // of the first group
  int32_t outs, ins, weight_taps;
  int32_t rows, columns, depth;
  Tiles tiles;
  bool fours_x, fours_weight, fours_to;  // whether they are read and written four numbers at a time
  float* y;  // the first group's first channel of the first image
  int64_t y_image_floats;
  int32_t y_c;
  const float* bias;  // of the first group's first channel, or null
  Activation activation;
  float alpha, beta;
  bool accumulate, is_ramp;
  Ramp ramp;
  DepthSplit split;
  float* parts;  // (split, group, row, column), where there are several
};

__device__ inline float* find_row(const GemmArguments& args, const OutputPixel& at) {
  return args.y + at.image * args.y_image_floats + args.in.phase.output_pixel(at.oy, at.ox) * args.y_c;
}

// The others' code is long, and seldom run.
__device__ __noinline__ float activate_apart(float x, Activation activation, float alpha, float beta) {
  return activate_one(x, activation, alpha, beta);
}

template <int kCount>
__device__ inline void activate(const GemmArguments& args, float (&v)[kCount]) {
  if (args.is_ramp) {
#pragma unroll
    for (float& x : v) x = args.ramp.apply(x);
  } else {
#pragma unroll
    for (float& x : v) x = activate_apart(x, args.activation, args.alpha, args.beta);
  }
}

// Four numbers, or `count` of them one by one.
__device__ inline void add_four(float (&v)[4], const float* from, bool at_once, int count) {
  if (at_once) {
    const Numbers<4> n = load_numbers<4>(from);
#pragma unroll
    for (int e = 0; e < 4; ++e) v[e] += n.v[e];
    return;
  }
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    if (e < count) v[e] += from[e];
  }
}
__device__ inline void store_four(float* to, const float (&v)[4], bool at_once, int count) {
  if (at_once) return store_numbers<4>(to, {{v[0], v[1], v[2], v[3]}});
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    if (e < count) to[e] = v[e];
  }
}

// Threads side by side have four columns each of a row's sums. `to`: where the rows' columns, or groups, begin.
__device__ inline void store_tile(const GemmArguments& args, const Tiles::Place& at, const float* tile,
                                  float* const* to) {
  const int thread = static_cast<int>(threadIdx.x);
  const int log2_lanes = args.columns > kTile / 2 ? 4 : 3;
  const int first = 4 * (thread & ((1 << log2_lanes) - 1)), column = at.column + first;
  const int count = args.columns - column, rows = min(kTile, args.rows - at.row);
  if (count <= 0) return;
  const bool finishes = args.split.splits == 1;
  const int channel = at.group * args.columns + column;
  float bias[4] = {};
  if (finishes && args.bias != nullptr) add_four(bias, args.bias + channel, false, count);
  const int offset = finishes ? channel : column;
#pragma unroll 1
  for (int r = thread >> log2_lanes; r < rows; r += kThreads >> log2_lanes) {
    Numbers<4> n = load_numbers<4>(tile + r * kSumPitch + first);
    float* const numbers = to[r] + offset;
    if (finishes) {
#pragma unroll
      for (int e = 0; e < 4; ++e) n.v[e] += bias[e];
      if (args.accumulate) add_four(n.v, numbers, args.fours_to, count);
      activate(args, n.v);
    }
    store_four(numbers, n.v, args.fours_to, count);
  }
}

constexpr int kTapChunks = kThreads / kChunk;  // whose taps are found at once

template <bool kTransposed>
__global__ void __launch_bounds__(kThreads) gemm_kernel(const __grid_constant__ GemmArguments args) {
  extern __shared__ __align__(16) char shared[];
  __shared__ __align__(16) Tap taps[kThreads];
  __shared__ float* to_rows[kTile];
  const Tiles::Place at = args.tiles.place(static_cast<int>(blockIdx.x));
  const unsigned thread = threadIdx.x;
  const PhaseInput& in = args.in;
  // Rows behind the last are the last again, whose sums are not stored.
  const int row = min(at.row + line_of<false>(thread), args.rows - 1);
  const OutputPixel pixel = find_pixel(in, row);
  const Place place = find_place(in, pixel, at.group);
  const int64_t part_row = (int64_t{at.part} * args.tiles.group_count + at.group) * args.rows + row;
  to_rows[line_of<false>(thread)] =
      args.split.splits == 1 ? find_row(args, pixel) : args.parts + part_row * args.columns;
  const float* weight = args.weight + int64_t{at.group} * args.outs * args.weight_taps * args.ins;
  // Columns of the weight that a thread copies.
  const int columns = args.columns - at.column, line = line_of<kTransposed>(thread);
  weight += kTransposed ? at.column : int64_t{at.column + line} * args.weight_taps * args.ins;
  weight = made(weight);
  const int numbers = kTransposed ? min(kTile, columns) : line < columns ? kChunk : 0;

  const auto copy = [&](int chunk, uint32_t to) {
    const int of_taps = static_cast<int>(static_cast<unsigned>(chunk - at.first) % kTapChunks);
    if (of_taps == 0) {
      __syncthreads();
      const int k = chunk * kChunk + static_cast<int>(thread);
      taps[thread] = kTransposed ? find_tap(in, k, args.depth, 1, args.weight_taps)
                                 : find_tap(in, k, args.depth, args.ins, 1);
      __syncthreads();
    }
    const Tap* const of_chunk = taps + of_taps * kChunk;
    copy_line<false>(to, kChunk, args.fours_x, [&](int number) -> Source {
      const Tap tap = of_chunk[number];
      return {place.from + tap.offset, reaches(in, place, tap)};
    });
    const int weight_line = of_chunk[kTransposed ? line : 0].weight;  // where lines are of k
    const float* const of_line = made(weight + int64_t{weight_line} * args.ins);
    copy_line<kTransposed>(to + kOperandBytes, numbers, args.fours_weight, [&](int number) -> Source {
      if constexpr (kTransposed) {
        return {of_line + number, weight_line >= 0 && number < numbers};
      } else {
        const int offset = of_chunk[number].weight;
        return {weight + offset, offset >= 0};
      }
    });
  };
  const int warp = static_cast<int>(thread / 32);
  const bool used = warp % 2 * kPart < args.rows - at.row && warp / 2 * kPart < columns;
  Sums sums;
  accumulate<false, kTransposed>(sums, shared, at.first, at.last, kQuads, used, copy);
  store_tile(args, at, share_sums(sums, shared), to_rows);
}

__global__ void __launch_bounds__(kBlockThreads)
    add_parts_kernel(const __grid_constant__ GemmArguments args, const __grid_constant__ PartsOfProduct parts,
                     const __grid_constant__ Divider by_rows, const __grid_constant__ Divider by_columns) {
  sum_parts(parts, [&](int i, float sum) {
    const int line = by_columns.divide(i), group = by_rows.divide(line);
    const int channel = group * args.columns + i - line * args.columns;
    float* const to = find_row(args, find_pixel(args.in, line - group * args.rows)) + channel;
    float v[1] = {sum};
    if (args.bias != nullptr) v[0] += args.bias[channel];
    if (args.accumulate) v[0] += *to;
    activate(args, v);
    *to = v[0];
  });
}

}  // namespace

void run_gemm(const TrainingCall& call, const TrainingGroups& groups, const float* weight,
              const float* bias) {
  const TrainingStep& s = call.step;
  const TrainingValue& y = *call.y.value;
  const int first_x = s.transposed ? groups.first_out : groups.first_in;
  const int first_y = s.transposed ? groups.first_in : groups.first_out;
  const int channels = s.transposed ? groups.outs : groups.ins;
  const int columns = s.transposed ? groups.ins : groups.outs;
  const int taps = s.kernel_h * s.kernel_w;
  const float* const of_groups = weight + int64_t{groups.first_out} * taps * groups.ins;
  for (const Phase& phase : s.phases) {
    const TrainingPhase p = {phase.y, phase.x, s.kernel_w, y.w};
    const int64_t rows = call.images * p.outputs();
    if (rows == 0) continue;
    const int depth = p.taps() * channels;
    const DepthSplit split = split_depth(rows, columns, depth, groups.count);
    const bool fours_y = is_vector_aligned(call.y.data + first_y) && y.c % 4 == 0;
    const PhaseInput in = make_phase_input(call.x, p, first_x, channels);
    const GemmArguments args = {
        in, of_groups, groups.outs, groups.ins, taps,
        static_cast<int32_t>(rows), columns, depth, make_tiles(rows, columns, depth, groups.count, split),
        is_vector(in), is_vector_aligned(of_groups) && groups.ins % 4 == 0,
        columns % 4 == 0 && (split.splits > 1 || fours_y), call.y.data + first_y, y.floats(), y.c,
        bias == nullptr ? nullptr : bias + first_y, s.activation, s.alpha, s.limit, s.accumulate,
        is_ramp(s.activation), make_ramp(s.activation, s.alpha), split,
        reinterpret_cast<float*>(call.scratch)};
    launch_tiles(s.transposed ? gemm_kernel<true> : gemm_kernel<false>, args, call.stream);
    FACEGEN_CUDA_CHECK_LAUNCH("a product of training");
    if (split.splits == 1) continue;
    const PartsOfProduct parts = plan_parts(args.parts, split.splits, groups.count * rows * columns);
    add_parts_kernel<<<parts.blocks(), kBlockThreads, 0, call.stream>>>(args, parts, make_divider(args.rows),
                                                                        make_divider(columns));
    FACEGEN_CUDA_CHECK_LAUNCH("the sum of a product's parts");
  }
}

}  // namespace facegen::cuda
