// The end of a tile of a product: its sums leave the registers through shared memory, 16 rows of 32 columns at a
// time, of which each warp has stages of its own. From there the copy engine stores plain sums, while the next
// tile's products go on; what has a bias, an activation or more to it a loop of few instructions finishes.
// (Each sum finished in its register took 8,000 instructions a tile, which came from the L2 cache: 55 us a tile
// of 128 x 256, three times its products.)
//
// A stage's row is 128 bytes, and its units of 16 bytes lie in the order  unit ^ row % 8,  as the copy engine
// expects them: neither side has bank conflicts to speak of.
#pragma once

#include "cuda/generic/element.cuh"
#include "cuda/generic/operand_scale.cuh"
#include "cuda/hopper/training/product_ring.cuh"

namespace facegen::cuda::hopper::product {

constexpr float kLostAnAddition = 1.5e-8f;  // see cuda/fit/gemm_plan.cpp

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
  // Null: nowhere.
  __device__ float* find(int row) const {
    const Position at = position(first + row);
    if (at.n >= args.images || at.y >= phase.y.out || at.x >= phase.x.out) return nullptr;
    return args.out + split * args.part_floats + at.n * args.out_image_floats +
           phase.output_pixel(at.y, at.x) * args.out_pitch;
  }
  __device__ void store(uint32_t stage, int column) const {
    const Position at = position(first);
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

// Sums of 32 columns. A thread has, of each 8 of them, two neighbouring ones of rows lane / 4 and lane / 4 + 8.
__device__ __forceinline__ void stage_columns(float* stage, const float (&v)[16]) {
  const int lane = static_cast<int>(threadIdx.x) % 32, row = lane / 4;
#pragma unroll
  for (int block = 0; block < 4; ++block) {
    float* const to = stage + row * 32 + ((2 * block + lane % 4 / 2) ^ row) * 4 + lane % 2 * 2;
    *reinterpret_cast<float2*>(to) = make_float2(v[4 * block], v[4 * block + 1]);
    *reinterpret_cast<float2*>(to + 8 * 32) = make_float2(v[4 * block + 2], v[4 * block + 3]);
  }
}

// Four neighbouring numbers, of which `columns` exist; `vectors`: all, and `to` is a multiple of 16 bytes.
__device__ __forceinline__ void load_columns(const float* from, int columns, bool vectors, float (&v)[4]) {
  if (vectors) {
    const float4 all = *reinterpret_cast<const float4*>(from);
    v[0] = all.x, v[1] = all.y, v[2] = all.z, v[3] = all.w;
    return;
  }
#pragma unroll
  for (int e = 0; e < 4; ++e) v[e] = e < columns ? from[e] : 0.0f;
}
__device__ __forceinline__ void store_columns(float* to, const float (&v)[4], int columns, bool vectors) {
  if (vectors) {
    *reinterpret_cast<float4*>(to) = make_float4(v[0], v[1], v[2], v[3]);
    return;
  }
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    if (e < columns) to[e] = v[e];
  }
}

// None, ReLU or leaky ReLU, without a branch.
__device__ __forceinline__ float activate_quickly(float x, Activation activation, float slope) {
  const float below = activation == Activation::kRelu ? 0.0f : x * slope;
  return x < 0.0f && activation != Activation::kNone ? below : x;
}

// The map that is made, as an operand too: its columns are whole vectors.
__device__ __forceinline__ void store_operand(const ProductArguments& args, int64_t at, const float (&v)[4]) {
  uint2 hi, lo;
  split_pair<false>(v[0], v[1], hi.x, lo.x);
  split_pair<false>(v[2], v[3], hi.y, lo.y);
  *reinterpret_cast<uint2*>(args.operand.to + at) = hi;
  if (args.operand.format != OperandFormat::kSplit) return;
  *reinterpret_cast<uint2*>(args.operand.to + args.operand.plane + at) = lo;
}

// The stage's 32 columns, from `column` on.
__device__ __forceinline__ void finish_rows(const ProductArguments& args, const MapRows& rows, const float* stage,
                                            int column, bool vectors) {
  const int lane = static_cast<int>(threadIdx.x) % 32, unit = lane % 8;
  column += unit * 4;
  const int columns = args.columns - column;
  if (columns <= 0) return;
  float bias[4] = {};
  if (args.bias != nullptr) load_columns(args.bias + column, columns, false, bias);
#pragma unroll 1  // there are eight of this loop
  for (int row = lane / 8; row < 16; row += 4) {
    float* to = rows.find(row);
    if (to == nullptr) continue;
    to += column;
    float v[4];
    load_columns(stage + row * 32 + (unit ^ row % 8) * 4, 4, true, v);
#pragma unroll
    for (int e = 0; e < 4; ++e) v[e] += bias[e];
    if (args.accumulate) {
      float before[4];
      load_columns(to, columns, vectors, before);
#pragma unroll
      for (int e = 0; e < 4; ++e) v[e] += before[e];
    }
#pragma unroll
    for (float& x : v) x = activate_quickly(x, args.activation, args.alpha);
    if (args.gate != nullptr) {
      float gate[4];
      load_columns(args.gate + (to - args.out), columns, vectors, gate);
#pragma unroll
      for (int e = 0; e < 4; ++e) v[e] = gate[e] > 0.0f ? v[e] : args.gate_slope == 0.0f ? 0.0f : v[e] * args.gate_slope;
    }
    if (args.operand.to != nullptr) store_operand(args, to - args.out, v);
    if (args.operand.alone) continue;
    store_columns(to, v, columns, vectors);
  }
}

// A warp's, in turn: the copy engine may still read the one before.
template <class P>
struct Stages {
  float (&memory)[P::kStages][kStageFloats];
  int turn = 0;
  __device__ float* next() { return memory[turn++ % P::kStages]; }
};

template <class P>
using Sums = float[P::kBoxes][P::kColumns / 2];

template <class P>
__device__ void store_tile(const ProductArguments& args, const Tile& tile, int warpgroup, Stages<P>& stages,
                           const Sums<P>& sums, int steps) {
  // Tensor cores round towards zero: see product.cu.
  float makes_up = 1.0f + kLostAnAddition * (P::kPlanes == 2 ? 12.0f : 4.0f) * static_cast<float>(steps);
  if (args.largest != nullptr) makes_up /= operand_scale(*args.largest);
  const bool vectors =
      args.columns % 4 == 0 && args.out_pitch % 4 == 0 &&
      (reinterpret_cast<uintptr_t>(args.out) | reinterpret_cast<uintptr_t>(args.gate)) % 16 == 0;
  const bool leader = threadIdx.x % 32 == 0;
#pragma unroll
  for (int m = 0; m < P::kBoxes; ++m) {
    const auto rows = find_rows<P>(args, tile, warpgroup, m);
#pragma unroll
    for (int first = 0; first < P::kColumns; first += 32) {
      const int column = tile.column * P::kColumns + first;
      if (column >= args.columns) continue;
      float* const stage = stages.next();
      float v[16];
#pragma unroll
      for (int i = 0; i < 16; ++i) v[i] = sums[m][first / 2 + i] * makes_up;
      if (P::kWeight || args.stores_boxes) {
        if (leader) ptx::wait_for_reads_of_copies<P::kStages - 1>();
        __syncwarp();
        stage_columns(stage, v);
        ptx::fence_async_proxy();
        __syncwarp();
        if (leader) rows.store(ptx::shared_address(stage), column);
      } else if constexpr (!P::kWeight) {
        __syncwarp();
        stage_columns(stage, v);
        __syncwarp();
        finish_rows(args, rows, stage, column, vectors);
      }
    }
  }
}

}  // namespace facegen::cuda::hopper::product
