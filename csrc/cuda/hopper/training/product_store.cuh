// The end of a tile of a product: its sums leave the registers through shared memory, of which each warp has a
// stage of its own, and rows of neighbouring columns are finished by a loop of few instructions. (Each sum
// finished where it lies, in a register, took 8,000 instructions a tile, and these came from the L2 cache: 55 us
// a tile of 128 x 256, three times its products.)
//
// A stage is 16 rows of 64 columns, or of 32 where two CTAs share a multiprocessor; blocks of 8 columns lie in
// the order  block ^ row % 4,  so that neither side has bank conflicts.
#pragma once

#include "cuda/generic/element.cuh"
#include "cuda/generic/operand_scale.cuh"
#include "cuda/hopper/training/product_ring.cuh"

namespace facegen::cuda::hopper::product {

constexpr float kLostAnAddition = 1.5e-8f;  // see cuda/fit/gemm_plan.cpp

// Where rows of a warpgroup's part of a tile lie in the map that is made.
template <class P>
struct MapRows {
  const ProductArguments& args;
  const TrainingPhase& phase;
  Position first;
  float* out;

  __device__ MapRows(const ProductArguments& args, const Tile& tile, int warpgroup)
      : args(args), phase(args.phases[tile.phase]),
        first(find_box(args.plan, P::kBoxes == 1 ? tile.row : tile.row * 2 + warpgroup)),
        out(args.out + tile.split * args.part_floats) {}

  // Row `row` of the box; null: nowhere.
  __device__ float* find(int row) const {
    const Box& box = args.plan.box;
    const int x = first.x + (row & ((1 << box.log2_w) - 1));
    const int y = first.y + (row >> box.log2_w & ((1 << box.log2_h) - 1));
    const int n = first.n + (row >> (box.log2_w + box.log2_h));
    if (n >= args.images || y >= phase.y.out || x >= phase.x.out) return nullptr;
    return out + n * args.out_image_floats + phase.output_pixel(y, x) * args.out_pitch;
  }
};

// Where the rows of a block of 64 of the weight's gradient lie in a part's sums.
struct GradientRows {
  float* out;  // the first row's
  int64_t pitch;
  int rows;  // that exist

  __device__ GradientRows(const ProductArguments& args, const Tile& tile, int block) {
    const TrainingPhase& phase = args.phases[tile.phase];
    const int tap = block / args.plan.channel_blocks;
    const int channel = block % args.plan.channel_blocks * kBlockChannels;
    pitch = args.out_pitch;
    rows = tap < phase.taps() ? args.channels - channel : 0;
    out = args.out + tile.split * args.part_floats +
          (int64_t{phase.weight_tap(tap)} * args.channels + channel) * pitch;
  }
  __device__ float* find(int row) const { return row < rows ? out + row * pitch : nullptr; }
};

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

__device__ __forceinline__ void activate_columns(const ProductArguments& args, float (&v)[4]) {
  if (args.activation == Activation::kNone) return;
#pragma unroll
  for (float& x : v) x = activate(x, args.activation, args.alpha);
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

// 16 rows of the stage's columns, from `column` on; find(row of 16) is where each begins.
template <class P, class Find>
__device__ __forceinline__ void finish_stage(const ProductArguments& args, const float* stage, int column,
                                             float makes_up, bool vectors, const Find& find) {
  constexpr int kLanes = P::kStageColumns / 4;  // of a row
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int block = lane % kLanes / 2, within = lane % 2 * 4;
  column += lane % kLanes * 4;
  const int columns = args.columns - column;
  if (columns <= 0) return;
  const bool finishes = !P::kWeight && args.finishes;
  float bias[4] = {};
  if (finishes && args.bias != nullptr) load_columns(args.bias + column, columns, false, bias);
#pragma unroll 1
  for (int row = lane / kLanes; row < 16; row += 32 / kLanes) {
    float* to = find(row);
    if (to == nullptr) continue;
    to += column;
    float v[4];
    load_columns(stage + row * P::kStageColumns + (block ^ row % 4) * 8 + within, 4, true, v);
#pragma unroll
    for (int e = 0; e < 4; ++e) v[e] = fmaf(v[e], makes_up, bias[e]);
    if (finishes) {
      if (args.accumulate) {
        float before[4];
        load_columns(to, columns, vectors, before);
#pragma unroll
        for (int e = 0; e < 4; ++e) v[e] += before[e];
      }
      activate_columns(args, v);
      if (args.operand.to != nullptr) store_operand(args, to - args.out, v);
    }
    store_columns(to, v, columns, vectors);
  }
}

template <class P>
using Sums = float[P::kBoxes][P::kColumns / 2];

// Of a row tile of 64: a thread has, of each 8 columns, two neighbouring ones of rows lane / 4 and lane / 4 + 8 of
// its warp's 16.
template <class P, class Find>
__device__ __forceinline__ void store_rows(const ProductArguments& args, const Tile& tile, float* stage,
                                           const float* sums, float makes_up, bool vectors, const Find& find) {
  const int lane = static_cast<int>(threadIdx.x) % 32, row = lane / 4;
#pragma unroll
  for (int first = 0; first < P::kColumns; first += P::kStageColumns) {
    __syncwarp();
#pragma unroll
    for (int block = 0; block < P::kStageColumns / 8; ++block) {
      const float* const of_block = sums + first / 2 + 4 * block;
      float* const to = stage + row * P::kStageColumns + (block ^ row % 4) * 8 + lane % 4 * 2;
      *reinterpret_cast<float2*>(to) = make_float2(of_block[0], of_block[1]);
      *reinterpret_cast<float2*>(to + 8 * P::kStageColumns) = make_float2(of_block[2], of_block[3]);
    }
    __syncwarp();
    finish_stage<P>(args, stage, tile.column * P::kColumns + first, makes_up, vectors, find);
  }
}

template <class P>
__device__ void store_tile(const ProductArguments& args, const Tile& tile, int warpgroup, float* stage,
                           const Sums<P>& sums, int steps) {
  // Tensor cores round towards zero: see product.cu.
  float makes_up = 1.0f + kLostAnAddition * (P::kPlanes == 2 ? 12.0f : 4.0f) * static_cast<float>(steps);
  if (args.largest != nullptr) makes_up /= operand_scale(*args.largest);
  const bool vectors =
      args.columns % 4 == 0 && args.out_pitch % 4 == 0 && reinterpret_cast<uintptr_t>(args.out) % 16 == 0;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 % 4 * 16;
  if constexpr (P::kWeight) {
#pragma unroll
    for (int m = 0; m < P::kBoxes; ++m) {
      const GradientRows rows(args, tile, (tile.row * 2 + warpgroup) * P::kBoxes + m);
      store_rows<P>(args, tile, stage, sums[m], makes_up, vectors,
                    [&](int row) { return rows.find(warp_row + row); });
    }
  } else {
    const MapRows<P> rows(args, tile, warpgroup);
#pragma unroll
    for (int m = 0; m < P::kBoxes; ++m) {
      const int first = warp_row + 64 * (P::kBoxes == 1 ? warpgroup : m);
      store_rows<P>(args, tile, stage, sums[m], makes_up, vectors,
                    [&](int row) { return rows.find(first + row); });
    }
  }
}

}  // namespace facegen::cuda::hopper::product
