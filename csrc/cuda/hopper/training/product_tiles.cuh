// What a tile of a product of training is: its rows, columns and part of the sum, and the steps of 64 of that.
#pragma once

#include "cuda/hopper/parts/wgmma.cuh"
#include "cuda/hopper/training/product.h"

namespace facegen::cuda::hopper::product {

template <ProductKind kKind, ProductShape kShape, OperandFormat kFormat>
struct Product {
  static constexpr int kPlanes = planes_of(kFormat);
  static constexpr bool kHalf = kFormat == OperandFormat::kFloat16;
  static constexpr bool kWeight = kKind == ProductKind::kWeight;
  static constexpr int kBoxes = product_rows(kShape) / 128;  // slots of A a step, and row tiles a warpgroup
  static constexpr int kBlocks = product_columns(kShape) / 64;
  static constexpr int kColumns = product_columns(kShape);
  static constexpr bool kWide = kShape == ProductShape::kWide;
  static constexpr int kCtas = product_ctas(kKind, kShape), kSlots = kCtas == 1 ? 6 : 3;
  static constexpr int kStages = kCtas == 1 ? 2 : 1;  // of each warp, on the way out
  static constexpr auto kTransposed = kWeight                             ? ptx::Transposed::kBoth
                                      : kKind == ProductKind::kInput ? ptx::Transposed::kB
                                                                     : ptx::Transposed::kNone;
};

struct Tile {
  int row, column, phase, first_step, last_step, split;
};

__device__ inline Tile find_tile(const ProductArguments& args, int index) {
  const ProductPlan& plan = args.plan;
  Tile tile;
  tile.column = index % plan.column_tiles;
  index /= plan.column_tiles;
  tile.row = index % plan.row_tiles;
  index /= plan.row_tiles;
  tile.phase = index % plan.phases;
  tile.split = index / plan.phases;
  const TrainingPhase& phase = args.phases[tile.phase];
  const int steps = plan.kind == ProductKind::kWeight ? plan.boxes_x * plan.boxes_y * plan.boxes_n
                                                      : phase.taps() * plan.channel_blocks;
  tile.first_step = tile.split * plan.part_steps;
  tile.last_step = min(steps, tile.first_step + plan.part_steps);
  return tile;
}

// Of `most` blocks of 64 rows of the weight's gradient, from block `first` on, how many a phase has.
__device__ inline int gradient_blocks(const ProductArguments& args, const TrainingPhase& phase, int first, int most) {
  return min(most, max(0, phase.taps() * args.plan.channel_blocks - first));
}

// The first position of a box.
struct Position {
  int x, y, n;
};
__device__ inline Position find_box(const ProductPlan& plan, int box) {
  const int x = box % plan.boxes_x;
  box /= plan.boxes_x;
  const int y = box % plan.boxes_y;
  return {x << plan.box.log2_w, y << plan.box.log2_h, box / plan.boxes_y << plan.box.log2_n};
}

// Whether a box of rows reads any pixel of A's map with this tap.
__device__ inline bool box_reaches(const ProductArguments& args, const TrainingPhase& phase,
                                   const Position& at, int tap) {
  const int y = phase.input_y(at.y, tap), x = phase.input_x(at.x, tap);
  const int last_y = y + ((1 << args.plan.box.log2_h) - 1) * phase.y.step;
  const int last_x = x + ((1 << args.plan.box.log2_w) - 1) * phase.x.step;
  return at.n < args.images && y < args.a_h && last_y >= 0 && x < args.a_w && last_x >= 0;
}

// body(step) of those steps of a tile whose operands are not all zeros.
template <class P, class Body>
__device__ inline void for_each_step(const ProductArguments& args, const Tile& tile, const Body& body) {
  if constexpr (P::kWeight) {
    for (int step = tile.first_step; step < tile.last_step; ++step) body(step);
  } else {
    const TrainingPhase& phase = args.phases[tile.phase];
    for (int step = tile.first_step; step < tile.last_step;) {
      const int tap = step / args.plan.channel_blocks;
      const int end = min(tile.last_step, (tap + 1) * args.plan.channel_blocks);
      bool reaches = false;
      for (int b = 0; b < P::kBoxes; ++b) {
        reaches |= box_reaches(args, phase, find_box(args.plan, tile.row * P::kBoxes + b), tap);
      }
      if (!reaches) step = end;
      for (; step < end; ++step) body(step);
    }
  }
}

}  // namespace facegen::cuda::hopper::product
