// The gradient of a weight: of each phase
//
//   dW (output channel; tap, input channel) = sum over rows of dy(row, output channel) x(row; tap, channel)
//
// where a row is an output position of an image. Both operands come with their channels side by side, and
// ldmatrix transposes them (mma_tile.cuh). The rows, of all images, are cut into parts that depend on the
// layer and the batch alone; a second kernel adds the parts' sums in order.
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/mma_tile.cuh"
#include "cuda/training/part_sums.cuh"
#include "cuda/training/phase_input.cuh"
#include "cuda/training/tiles.cuh"

namespace facegen::cuda {
namespace {

using namespace mma_tile;

struct WeightGradientArguments {
  PhaseInput in;
  const float* dy;  // the first group's first channel of the first image
  int64_t dy_image_floats;
  int32_t dy_c;
  int32_t rows, outs, columns, weight_taps;
  Tiles tiles;
  bool fours_x, fours_dy;  // whether they are read four numbers at a time
  DepthSplit split;
  float* parts;     // (split, group, out, column), where there are several
  float* gradient;  // of the first group
};

__global__ void __launch_bounds__(kThreads)
    weight_gradient_kernel(const __grid_constant__ WeightGradientArguments args) {
  extern __shared__ __align__(16) char shared[];
  __shared__ __align__(16) Tap taps[kTile];
  const Tiles::Place at = args.tiles.place(static_cast<int>(blockIdx.x));
  const unsigned thread = threadIdx.x;
  const PhaseInput& in = args.in;
  if (thread < kTile) {
    taps[thread] = find_tap(in, at.column + static_cast<int>(thread), args.columns, in.channels, 1);
  }
  __syncthreads();
  const int outs = min(kTile, args.outs - at.row), columns = min(kTile, args.columns - at.column);

  const auto copy = [&](int chunk, uint32_t to) {
    const int row = chunk * kChunk + line_of<true>(thread);
    const bool exists = row < args.rows;
    const OutputPixel pixel = find_pixel(in, exists ? row : 0);
    const float* const dy = made(args.dy + pixel.image * args.dy_image_floats +
                                 in.phase.output_pixel(pixel.oy, pixel.ox) * args.dy_c +
                                 at.group * args.outs + at.row);
    copy_line<true>(to, outs, args.fours_dy, [&](int number) -> Source {
      return {dy + number, exists && number < outs};
    });
    Place place = find_place(in, pixel, at.group);
    if (!exists) place.y = kOutside;
    copy_line<true>(to + kOperandBytes, columns, args.fours_x, [&](int number) -> Source {
      const Tap tap = taps[number];
      return {place.from + tap.offset, reaches(in, place, tap)};
    });
  };
  const int warp = static_cast<int>(thread / 32), quads = max(outs, columns) > kTile / 2 ? kQuads : kQuads / 2;
  Sums sums;
  accumulate<true, true>(sums, shared, at.first, at.last, quads,
                         warp % 2 * kPart < outs && warp / 2 * kPart < columns, copy);
  const float* const tile = share_sums(sums, shared);

  const int column = static_cast<int>(thread % kTile);
  if (column >= columns) return;
  const int64_t before = (int64_t{at.part} * args.tiles.group_count + at.group) * args.outs + at.row;
  int64_t pitch = args.columns;
  float* to = args.parts + before * pitch + at.column + column;
  if (args.split.splits == 1) {
    pitch = int64_t{args.weight_taps} * in.channels;
    to = args.gradient + before * pitch + taps[column].weight;
  }
#pragma unroll 4
  for (int r = static_cast<int>(thread / kTile); r < outs; r += kThreads / kTile) {
    to[r * pitch] = tile[r * kSumPitch + column];
  }
}

__global__ void __launch_bounds__(kBlockThreads)
    add_parts_kernel(const __grid_constant__ WeightGradientArguments args,
                     const __grid_constant__ PartsOfProduct parts, const __grid_constant__ Divider by_columns) {
  sum_parts(parts, [&](int i, float sum) {
    const int line = by_columns.divide(i), ins = args.in.channels;
    const Tap tap = find_tap(args.in, i - line * args.columns, args.columns, ins, 1);
    args.gradient[int64_t{line} * args.weight_taps * ins + tap.weight] = sum;
  });
}

}  // namespace

void run_weight_gradient(const TrainingCall& call, const TrainingGroups& groups, float* gradient) {
  const TrainingStep& s = call.step;
  const TrainingValue& dy = *call.dy.value;
  const int taps = s.kernel_h * s.kernel_w;
  for (const Phase& phase : s.phases) {
    const TrainingPhase p = {phase.y, phase.x, s.kernel_w, dy.w};
    const int64_t rows = call.images * p.outputs();
    const int columns = p.taps() * groups.ins;
    if (rows == 0 || columns == 0) continue;
    const DepthSplit split = split_depth(groups.outs, columns, rows, groups.count);
    const PhaseInput in = make_phase_input(call.x, p, groups.first_in, groups.ins);
    const float* const of_groups = call.dy.data + groups.first_out;
    const WeightGradientArguments args = {
        in, of_groups, dy.floats(), dy.c, static_cast<int32_t>(rows), groups.outs, columns, taps,
        make_tiles(groups.outs, columns, rows, groups.count, split), is_vector(in),
        is_vector_aligned(of_groups) && dy.c % 4 == 0 && groups.outs % 4 == 0, split,
        reinterpret_cast<float*>(call.scratch), gradient + int64_t{groups.first_out} * taps * groups.ins};
    launch_tiles(weight_gradient_kernel, args, call.stream);
    FACEGEN_CUDA_CHECK_LAUNCH("a weight gradient");
    if (split.splits == 1) continue;
    const PartsOfProduct parts =
        plan_parts(args.parts, split.splits, int64_t{groups.count} * groups.outs * columns);
    add_parts_kernel<<<parts.blocks(), kBlockThreads, 0, call.stream>>>(args, parts, make_divider(columns));
    FACEGEN_CUDA_CHECK_LAUNCH("the sum of a weight gradient's parts");
  }
}

}  // namespace facegen::cuda
