// The end of a tile of a product. Its sums are finished in registers, where bias, activation and more are wanted,
// and leave through shared memory, 16 rows of 32 columns at a time, of which each warp has stages of its own. From
// there the copy engine stores them while the next tile's products go on, and the warp stores them as an operand.
// (Sums stored from registers took 8,000 instructions a tile, which came from the L2 cache: 55 us a tile of
// 128 x 256, three times its products.)
#pragma once

#include "cuda/generic/operand_scale.cuh"
#include "cuda/hopper/training/product_rows.cuh"

namespace facegen::cuda::hopper::product {

constexpr float kLostAnAddition = 1.5e-8f;  // see cuda/fit/gemm_plan.cpp

// A warp's, in turn: the copy engine may still read the one before.
template <class P>
struct Stages {
  float (&memory)[P::kStages][kStageFloats];
  int turn = 0;
  __device__ float* next() { return memory[turn++ % P::kStages]; }
};

template <class P>
using Sums = float[P::kBoxes][P::kColumns / 2];

// What a gate says of the next columns, read two times 32 ahead where a multiprocessor has one CTA, and nothing
// else to do meanwhile.
template <class P>
struct Gates {
  static constexpr int kAhead = P::kCtas == 1 ? 2 : 0;
  Fragment ahead[kAhead == 0 ? 1 : kAhead];

  template <int kFirst>
  __device__ __forceinline__ void read(const ProductArguments& args, const FragmentRows& own) {
    if constexpr (kFirst < P::kColumns) own.template read<kFirst>(args.gate, ahead[kFirst / 32 % kAhead]);
  }
  __device__ __forceinline__ void begin(const ProductArguments& args, const FragmentRows& own) {
    if constexpr (kAhead > 0) {
      read<0>(args, own);
      read<32>(args, own);
    }
  }
  // Columns from kFirst on.
  template <int kFirst>
  __device__ __forceinline__ void pass(const ProductArguments& args, const FragmentRows& own, Fragment& v) {
    if constexpr (kAhead == 0) {
      Fragment gate;
      own.template read<kFirst>(args.gate, gate);
      pass_gate(args, gate, v);
    } else {
      pass_gate(args, ahead[kFirst / 32 % kAhead], v);
      read<kFirst + 32 * kAhead>(args, own);
    }
  }
};

// 32 columns of a row tile of 64, from the tile's column kFirst on; and those behind them.
template <class P, bool kFinishes, int kFirst, class Rows>
__device__ __forceinline__ void store_columns(const ProductArguments& args, const Rows& rows, const FragmentRows& own,
                                              Gates<P>& gates, int column, Stages<P>& stages, const float* sums,
                                              float makes_up) {
  if (column + kFirst >= args.columns) return;
  const bool leader = threadIdx.x % 32 == 0;
  Fragment v;
#pragma unroll
  for (int i = 0; i < 16; ++i) v[i] = sums[kFirst / 2 + i] * makes_up;
  if constexpr (kFinishes) {
    finish_fragment<kFirst>(args, own, column + kFirst, v);
    if (args.gate != nullptr) gates.template pass<kFirst>(args, own, v);
  }
  float* const stage = stages.next();
  if (leader) ptx::wait_for_reads_of_copies<P::kStages - 1>();
  __syncwarp();
  stage_fragment(stage, v);
  ptx::fence_async_proxy();
  __syncwarp();
  if (leader) {
    if (!args.operand.alone) rows.store(ptx::shared_address(stage), column + kFirst);
    ptx::commit_copies();  // also of nothing: stages and groups take turns alike
  }
  if constexpr (kFinishes) {
    if (args.operand.to != nullptr) store_operand(args, rows, stage, column + kFirst);
  }
  if constexpr (kFirst + 32 < P::kColumns) {
    store_columns<P, kFinishes, kFirst + 32>(args, rows, own, gates, column, stages, sums, makes_up);
  }
}

template <class P, bool kFinishes>
__device__ __forceinline__ void store_tile(const ProductArguments& args, const Tile& tile, int warpgroup,
                                           Stages<P>& stages, const Sums<P>& sums, float makes_up) {
  const int column = tile.column * P::kColumns;
  Gates<P> gates;
#pragma unroll
  for (int m = 0; m < P::kBoxes; ++m) {
    const auto rows = find_rows<P>(args, tile, warpgroup, m);
    if constexpr (kFinishes) {
      const FragmentRows own(rows, column);
      if (args.gate != nullptr) gates.begin(args, own);
      store_columns<P, true, 0>(args, rows, own, gates, column, stages, sums[m], makes_up);
    } else {
      store_columns<P, false, 0>(args, rows, {}, gates, column, stages, sums[m], makes_up);
    }
  }
}

template <class P>
__device__ void store_tile(const ProductArguments& args, const Tile& tile, int warpgroup, Stages<P>& stages,
                           const Sums<P>& sums, int steps) {
  // Tensor cores round towards zero: see product.cu.
  float makes_up = 1.0f + kLostAnAddition * (P::kPlanes == 2 ? 12.0f : 4.0f) * static_cast<float>(steps);
  if (args.largest != nullptr) makes_up /= operand_scale(*args.largest);
  if constexpr (!P::kWeight) {
    if (!args.is_plain) return store_tile<P, true>(args, tile, warpgroup, stages, sums, makes_up);
  }
  store_tile<P, false>(args, tile, warpgroup, stages, sums, makes_up);
}

}  // namespace facegen::cuda::hopper::product
