// The gradient of a weight: of each phase
//
//   dW (output channel; tap, input channel) = sum over rows of dy(row, output channel) x(row; tap, channel)
//
// where a row is an output position of an image. Both operands come with their channels side by side, and
// ldmatrix transposes them (mma_tile.cuh). The rows, of all images, are cut into parts that depend on the
// layer and the batch alone; a second kernel adds the parts' sums in order.
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/gather.cuh"
#include "cuda/training/launch.cuh"
#include "cuda/training/mma_tile.cuh"

namespace facegen::cuda {
namespace {

using namespace mma_tile;

struct WeightGradientArguments {
  Gather in;
  const float* dy;  // the first group's first channel of the first image
  int64_t dy_image_floats;
  int32_t dy_c;
  int64_t rows;
  int32_t outs, columns, groups, weight_taps;
  DepthSplit split;
  float* parts;     // (split, group, out, column), where there are several
  float* gradient;  // of the first group
};

// Where a number of the phase lies in the parameter.
__device__ inline float& gradient_at(const WeightGradientArguments& args, int group, int out, int column) {
  const int ins = args.in.channels, tap = column / ins;
  const int64_t line = (int64_t{group} * args.outs + out) * args.weight_taps + args.in.phase.weight_tap(tap);
  return args.gradient[line * ins + column - tap * ins];
}

template <bool kVector>
__global__ void __launch_bounds__(kThreads)
    weight_gradient_kernel(const __grid_constant__ WeightGradientArguments args) {
  const auto column_tiles = static_cast<uint32_t>((args.columns + kTile - 1) / kTile);
  const auto out_tiles = static_cast<uint32_t>((args.outs + kTile - 1) / kTile);
  uint32_t block = blockIdx.x;
  const int column0 = static_cast<int>(block % column_tiles) * kTile;
  block /= column_tiles;
  const int out0 = static_cast<int>(block % out_tiles) * kTile;
  block /= out_tiles;
  const int group = static_cast<int>(block % static_cast<uint32_t>(args.groups));
  const int part = static_cast<int>(block / static_cast<uint32_t>(args.groups));

  const int thread = static_cast<int>(threadIdx.x);
  const Gather& in = args.in;
  const int out = out0 + first_of<true>(thread), column = column0 + first_of<true>(thread);
  const auto fetch_dy = [&](int64_t chunk, float(&v)[kFetch]) {
    const int64_t row = chunk * kChunk + line_of<true>(thread);
    const float* from = args.dy;
    int count = 0;
    if (row < args.rows) {
      const Position at = find_position(in.phase, row);
      from += at.image * args.dy_image_floats + in.phase.output_pixel(at.oy, at.ox) * args.dy_c +
              group * args.outs + out;
      count = args.outs - out;
    }
    fetch_line<kVector>(from, count, v);
  };
  const auto fetch_x = [&](int64_t chunk, float(&v)[kFetch]) {
    const Place place = find_place(in, group, chunk * kChunk + line_of<true>(thread), args.rows);
    fetch_runs<kVector>(column, in.channels, [&](int tap) { return find_pixel(in, place, tap); }, v);
  };

  const int64_t chunks = (args.rows + kChunk - 1) / kChunk, part_chunks = args.split.part / kChunk;
  Sums sums;
  accumulate<true, true>(sums, part * part_chunks, min(chunks, (part + 1) * part_chunks), fetch_dy,
                         fetch_x);
  for_each_sum(sums, [&](int r, int c, float sum) {
    const int o = out0 + r, n = column0 + c;
    if (o >= args.outs || n >= args.columns) return;
    if (args.split.splits == 1) {
      gradient_at(args, group, o, n) = sum;
    } else {
      const int64_t before = int64_t{part} * args.groups + group;
      args.parts[(before * args.outs + o) * args.columns + n] = sum;
    }
  });
}

__global__ void __launch_bounds__(kBlockThreads)
    add_parts_kernel(const __grid_constant__ WeightGradientArguments args) {
  const int64_t of_group = int64_t{args.outs} * args.columns, count = args.groups * of_group;
  for_each_number(count, [&](int64_t i) {
    // Four sums at once: their loads wait for nothing.
    float sum[4] = {};
    int part = 0;
    for (; part + 4 <= args.split.splits; part += 4) {
#pragma unroll
      for (int j = 0; j < 4; ++j) sum[j] += args.parts[(part + j) * count + i];
    }
    for (; part < args.split.splits; ++part) sum[0] += args.parts[part * count + i];
    const int64_t at = i % of_group;
    gradient_at(args, static_cast<int>(i / of_group), static_cast<int>(at / args.columns),
                static_cast<int>(at % args.columns)) = (sum[0] + sum[1]) + (sum[2] + sum[3]);
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
    const WeightGradientArguments args = {
        make_gather(call.x, p, groups.first_in, groups.ins), call.dy.data + groups.first_out,
        dy.floats(), dy.c, rows, groups.outs, columns, groups.count, taps,
        split_depth(groups.outs, columns, rows, groups.count),
        reinterpret_cast<float*>(call.scratch),
        gradient + int64_t{groups.first_out} * taps * groups.ins};
    const bool vector = is_vector(args.in) && is_vector_aligned(args.dy) && dy.c % 4 == 0 &&
                        groups.outs % 4 == 0;
    const auto kernel = vector ? weight_gradient_kernel<true> : weight_gradient_kernel<false>;
    const int64_t blocks = args.split.splits * groups.count * divide_up(int64_t{groups.outs}, int64_t{kTile}) *
                           divide_up(int64_t{columns}, int64_t{kTile});
    kernel<<<grid(blocks), kThreads, 0, call.stream>>>(args);
    FACEGEN_CUDA_CHECK_LAUNCH("a weight gradient");
    if (args.split.splits == 1) continue;
    add_parts_kernel<<<grid_of(int64_t{groups.count} * groups.outs * columns), kBlockThreads, 0, call.stream>>>(args);
    FACEGEN_CUDA_CHECK_LAUNCH("the sum of a weight gradient's parts");
  }
}

}  // namespace facegen::cuda
