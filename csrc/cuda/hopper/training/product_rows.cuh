// What a warp makes of 16 rows of 32 columns of a tile's sums, on their way from registers to memory.
//
// In shared memory a row is 128 bytes, and its units of 16 bytes lie in the order  unit ^ row % 8,  as the copy
// engine expects them: neither side has bank conflicts to speak of.
#pragma once

#include "cuda/generic/element.cuh"
#include "cuda/hopper/training/product_ring.cuh"

namespace facegen::cuda::hopper::product {

// The warp's 16 rows of a row tile of 64 of a map's box.
struct MapRows {
  const ProductArguments& args;
  const TrainingPhase& phase;
  Position box;
  int phase_number, split, first;

  // Of row `row` of the box.
  __device__ Position position(int row) const {
    const Box& shape = args.plan.box;
    return {box.x + (row & ((1 << shape.log2_w) - 1)), box.y + (row >> shape.log2_w & ((1 << shape.log2_h) - 1)),
            box.n + (row >> (shape.log2_w + shape.log2_h))};
  }
  // Where it begins, in floats from the first of the map that is made; below 0: nowhere.
  __device__ int64_t offset(int row) const {
    const Position at = position(first + row);
    if (at.n >= args.images || at.y >= phase.y.out || at.x >= phase.x.out) return -1;
    return at.n * args.out_image_floats + phase.output_pixel(at.y, at.x) * args.out_pitch;
  }
  __device__ void store(uint32_t stage, int column) const {
    const Position at = position(first);
    // A phase may have nothing there, or nowhere.
    if (at.y >= phase.y.out || at.x >= phase.x.out) return;
    ptx::copy_box_out(&args.boxes[phase_number], stage, {column, at.x, at.y, at.n, split});
  }
};

// The warp's 16 rows of a block of 64 of the weight's gradient.
struct GradientRows {
  const ProductArguments& args;
  int tap, channel, split;  // tap: of the weight; -1: there are no such rows

  __device__ void store(uint32_t stage, int column) const {
    if (tap >= 0) ptx::copy_box_out(&args.boxes[0], stage, {column, channel, tap, 0, split});
  }
};

template <class P>
__device__ auto find_rows(const ProductArguments& args, const Tile& tile, int warpgroup, int row_tile) {
  const TrainingPhase& phase = args.phases[tile.phase];
  const int warp_row = static_cast<int>(threadIdx.x) / 32 % 4 * 16;
  if constexpr (P::kWeight) {
    const int block = (tile.row * 2 + warpgroup) * P::kBoxes + row_tile;
    const int tap = block / args.plan.channel_blocks;
    return GradientRows{args, tap < phase.taps() ? phase.weight_tap(tap) : -1,
                        block % args.plan.channel_blocks * kBlockChannels + warp_row, tile.split};
  } else {
    const int box = P::kBoxes == 1 ? tile.row : tile.row * 2 + warpgroup;
    return MapRows{args, phase, find_box(args.plan, box), tile.phase, tile.split,
                   warp_row + 64 * (P::kBoxes == 1 ? warpgroup : row_tile)};
  }
}

// What a thread has of 16 rows of 32 columns: of each 8 columns two neighbouring ones, of rows lane / 4 and
// lane / 4 + 8.
using Fragment = float[16];  // (block of 8, row, column)

// A thread's two rows of a map that lies as the one that is made, from its first column in the tile on.
struct FragmentRows {
  int64_t offset[2];  // floats from the map's first; below 0: nowhere
  int columns;        // that exist from there on

  FragmentRows() = default;
  __device__ FragmentRows(const MapRows& rows, int column) {
    column += static_cast<int>(threadIdx.x) % 4 * 2;
    columns = rows.args.columns - column;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      offset[i] = rows.offset(static_cast<int>(threadIdx.x) % 32 / 4 + 8 * i);
      if (offset[i] >= 0) offset[i] += column;
    }
  }
  // Of 32 columns from the tile's column kFirst on; zeros where there is nothing.
  template <int kFirst>
  __device__ __forceinline__ void read(const float* map, Fragment& v) const {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int column = kFirst + i / 2 * 8;
      const bool exists = offset[i % 2] >= 0 && column < columns;
      float2 pair = make_float2(0.0f, 0.0f);
      if (exists) pair = *reinterpret_cast<const float2*>(map + offset[i % 2] + column);
      v[2 * i] = pair.x, v[2 * i + 1] = pair.y;
    }
  }
};

__device__ __forceinline__ void stage_fragment(float* stage, const Fragment& v) {
  const int lane = static_cast<int>(threadIdx.x) % 32, row = lane / 4;
#pragma unroll
  for (int block = 0; block < 4; ++block) {
    float* const to = stage + row * 32 + ((2 * block + lane % 4 / 2) ^ row) * 4 + lane % 2 * 2;
    *reinterpret_cast<float2*>(to) = make_float2(v[4 * block], v[4 * block + 1]);
    *reinterpret_cast<float2*>(to + 8 * 32) = make_float2(v[4 * block + 2], v[4 * block + 3]);
  }
}

__device__ __forceinline__ void add_bias(const ProductArguments& args, int column, Fragment& v) {
  column += static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (column + 8 * i >= args.columns) continue;
    const float2 bias = *reinterpret_cast<const float2*>(args.bias + column + 8 * i);
    v[4 * i] += bias.x, v[4 * i + 1] += bias.y, v[4 * i + 2] += bias.x, v[4 * i + 3] += bias.y;
  }
}

// What becomes of sums of 32 columns, from the tile's column kFirst on, where the map is finished.
template <int kFirst>
__device__ __forceinline__ void finish_fragment(const ProductArguments& args, const FragmentRows& own, int column,
                                                Fragment& v) {
  if (args.bias != nullptr) add_bias(args, column, v);
  if (args.accumulate) {
    Fragment held;
    own.read<kFirst>(args.out, held);
#pragma unroll
    for (int i = 0; i < 16; ++i) v[i] += held[i];
  }
  if (args.activation == Activation::kNone) return;
  const float slope = args.activation == Activation::kRelu ? 0.0f : args.alpha;
#pragma unroll
  for (float& x : v) x = x < 0.0f ? slope == 0.0f ? 0.0f : x * slope : x;
}

__device__ __forceinline__ void pass_gate(const ProductArguments& args, const Fragment& gate, Fragment& v) {
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    v[i] = gate[i] > 0.0f ? v[i] : args.gate_slope == 0.0f ? 0.0f : v[i] * args.gate_slope;
  }
}

// The stage's columns, from `column` on, of the map that is made as an operand.
__device__ __forceinline__ void store_operand(const ProductArguments& args, const MapRows& rows, const float* stage,
                                              int column) {
  const int lane = static_cast<int>(threadIdx.x) % 32, unit = lane % 8;
  column += unit * 4;
  if (column >= args.columns) return;
#pragma unroll 1
  for (int row = lane / 8; row < 16; row += 4) {
    const int64_t at = rows.offset(row);
    if (at < 0) continue;
    const float4 v = *reinterpret_cast<const float4*>(stage + row * 32 + (unit ^ row % 8) * 4);
    uint2 hi, lo;
    split_pair<false>(v.x, v.y, hi.x, lo.x);
    split_pair<false>(v.z, v.w, hi.y, lo.y);
    uint16_t* const to = args.operand.to + at + column;
    *reinterpret_cast<uint2*>(to) = hi;
    if (args.operand.format == OperandFormat::kSplit) *reinterpret_cast<uint2*>(to + args.operand.plane) = lo;
  }
}

}  // namespace facegen::cuda::hopper::product
