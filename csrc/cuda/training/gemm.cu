// Convolutions, their transposes and linear layers, and their gradients in x:
//
//   y (row, column) = activation(sum over taps and channels of x(row; tap, channel) w(column; tap, channel)
//                                + bias + what y holds, where it adds)
//
// A phase is one launch. Its x is gathered (gather.cuh); the weights are read as the parameter lies, (output
// channel, tap, input channel): they change with each step. For the gradient in x, whose columns are input
// channels, they come with columns side by side, and ldmatrix transposes them (mma_tile.cuh).
//
// Where C has few tiles, blocks take parts of the depth, whose sums a second kernel adds in order.
#include "cuda/generic/element.cuh"
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/gather.cuh"
#include "cuda/training/launch.cuh"
#include "cuda/training/mma_tile.cuh"

namespace facegen::cuda {
namespace {

using namespace mma_tile;

struct GemmArguments {
  Gather in;
  const float* weight;  // of the first group
  int32_t outs, ins, weight_taps;
  int64_t rows;
  int32_t columns, depth, groups;
  float* y;  // the first group's first channel of the first image
  int64_t y_image_floats;
  int32_t y_c;
  const float* bias;  // of the first group's first channel, or null
  Activation activation;
  float alpha, beta;
  bool accumulate;
  DepthSplit split;
  float* parts;  // (split, group, row, column), where there are several
};

__device__ inline void finish(const GemmArguments& args, int group, int64_t row, int column, float sum) {
  const Position at = find_position(args.in.phase, row);
  const int channel = group * args.columns + column;
  float* const to = args.y + at.image * args.y_image_floats +
                    args.in.phase.output_pixel(at.oy, at.ox) * args.y_c + channel;
  if (args.bias != nullptr) sum += args.bias[channel];
  if (args.accumulate) sum += *to;
  *to = activate_one(sum, args.activation, args.alpha, args.beta);
}

template <bool kTransposed, bool kVector>
__global__ void __launch_bounds__(kThreads) gemm_kernel(const __grid_constant__ GemmArguments args) {
  const int column_tiles = (args.columns + kTile - 1) / kTile;
  const auto row_tiles = static_cast<uint32_t>((args.rows + kTile - 1) / kTile);
  uint32_t block = blockIdx.x;
  const int column0 = static_cast<int>(block % static_cast<uint32_t>(column_tiles)) * kTile;
  block /= static_cast<uint32_t>(column_tiles);
  const int64_t row0 = int64_t{block % row_tiles} * kTile;
  block /= row_tiles;
  const int group = static_cast<int>(block % static_cast<uint32_t>(args.groups));
  const int part = static_cast<int>(block / static_cast<uint32_t>(args.groups));

  const int thread = static_cast<int>(threadIdx.x);
  const Gather& in = args.in;
  const Place place = find_place(in, group, row0 + line_of<false>(thread), args.rows);
  const float* const weight =
      args.weight + int64_t{group} * args.outs * args.weight_taps * args.ins;

  const auto fetch_a = [&](int64_t chunk, float(&v)[kFetch]) {
    fetch_runs<kVector>(static_cast<int>(chunk) * kChunk + first_of<false>(thread), in.channels,
                        [&](int tap) { return find_pixel(in, place, tap); }, v);
  };
  const auto fetch_b = [&](int64_t chunk, float(&v)[kFetch]) {
    if constexpr (kTransposed) {
      const int k = static_cast<int>(chunk) * kChunk + line_of<true>(thread);
      const int first = column0 + first_of<true>(thread);
      const int tap = k / args.outs, out = k - tap * args.outs;
      const bool exists = k < args.depth;
      const float* const from =
          exists ? weight + (int64_t{out} * args.weight_taps + in.phase.weight_tap(tap)) * args.ins + first
                 : weight;
      fetch_line<kVector>(from, exists ? args.ins - first : 0, v);
    } else {
      const int column = column0 + line_of<false>(thread);
      const float* const of_column = weight + int64_t{column} * args.weight_taps * args.ins;
      fetch_runs<kVector>(
          static_cast<int>(chunk) * kChunk + first_of<false>(thread), args.ins,
          [&](int tap) -> const float* {
            if (column >= args.columns || tap >= in.phase.taps()) return nullptr;
            return of_column + int64_t{in.phase.weight_tap(tap)} * args.ins;
          },
          v);
    }
  };

  const int64_t chunks = (args.depth + kChunk - 1) / kChunk, part_chunks = args.split.part / kChunk;
  Sums sums;
  accumulate<false, kTransposed>(sums, part * part_chunks, min(chunks, (part + 1) * part_chunks),
                                 fetch_a, fetch_b);
  for_each_sum(sums, [&](int r, int c, float sum) {
    const int64_t row = row0 + r;
    const int column = column0 + c;
    if (row >= args.rows || column >= args.columns) return;
    if (args.split.splits == 1) {
      finish(args, group, row, column, sum);
    } else {
      const int64_t before = int64_t{part} * args.groups + group;
      args.parts[(before * args.rows + row) * args.columns + column] = sum;
    }
  });
}

__global__ void __launch_bounds__(kBlockThreads) add_parts_kernel(const __grid_constant__ GemmArguments args) {
  const int64_t of_group = args.rows * args.columns, count = args.groups * of_group;
  for_each_number(count, [&](int64_t i) {
    float sum = 0.0f;
    for (int part = 0; part < args.split.splits; ++part) sum += args.parts[part * count + i];
    const int64_t at = i % of_group;
    finish(args, static_cast<int>(i / of_group), at / args.columns, static_cast<int>(at % args.columns), sum);
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
    const GemmArguments args = {
        make_gather(call.x, p, first_x, channels), of_groups, groups.outs, groups.ins, taps, rows, columns,
        depth, groups.count, call.y.data + first_y, y.floats(), y.c,
        bias == nullptr ? nullptr : bias + first_y, s.activation, s.alpha, s.limit, s.accumulate,
        split_depth(rows, columns, depth, groups.count), reinterpret_cast<float*>(call.scratch)};
    const bool vector =
        is_vector(args.in) && is_vector_aligned(of_groups) && groups.ins % 4 == 0;
    const auto kernel = s.transposed ? vector ? gemm_kernel<true, true> : gemm_kernel<true, false>
                                     : vector ? gemm_kernel<false, true> : gemm_kernel<false, false>;
    const int64_t blocks = args.split.splits * groups.count * divide_up(rows, int64_t{kTile}) *
                           divide_up(int64_t{columns}, int64_t{kTile});
    kernel<<<grid(blocks), kThreads, 0, call.stream>>>(args);
    FACEGEN_CUDA_CHECK_LAUNCH("a product of training");
    if (args.split.splits == 1) continue;
    add_parts_kernel<<<grid_of(groups.count * rows * columns), kBlockThreads, 0, call.stream>>>(args);
    FACEGEN_CUDA_CHECK_LAUNCH("the sum of a product's parts");
  }
}

}  // namespace facegen::cuda
