// How a layer is cut for the indirect GEMM on Hopper (gemm.cu): tiles, taps, packed weights.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/fit/box.h"
#include "cuda/fit/step_fit.h"

namespace facegen::cuda::hopper {

constexpr int kMaxBlocks = 4;  // of 64 columns in a tile

// Output pixels x columns of a tile.
enum class Shape {
  kWide,   // 128 x 256
  kTall,   // 256 x 128
  kSmall,  // 128 x 64: where a batch has too few large tiles for all multiprocessors
  kTiny,   // 64 x 64, float32: where it has too few small ones
  kShort,  // 64 x 64, three at once on a multiprocessor: where sums are so short that it is the
           // epilogues that take time
};
constexpr int kShortCtas = 3;  // of short tiles on a multiprocessor
constexpr int tile_rows(Shape shape) {
  return shape == Shape::kTall ? 256 : shape >= Shape::kTiny ? 64 : 128;
}
constexpr int tile_blocks(Shape shape) {
  return shape == Shape::kWide ? 4 : shape == Shape::kTall ? 2 : 1;
}
constexpr int kMaxTaps = 240;  // entries of the tap table in shared memory

// One input offset of a column group, and some of its channels.
struct Tap {
  int8_t dy, dx;                // input position = output position * step + (dy, dx)
  uint8_t blocks;               // it adds to the first blocks * 64 columns
  bool promotes;                // a stretch of the sum ends before it (see Plan)
  uint16_t first_block, end_block;  // of 64 channels
  uint32_t weights_kib;         // from the group's packed weights to its own
};

// 64 columns of a group: which output channels of which phase they are.
struct Columns {
  int64_t offset;      // elements from the output's first pixel to the phase's first, plus channel
  int32_t rows, cols;  // output size of the phase
  int32_t channel;     // the first
  int32_t valid;       // channels that exist, 0 to 64
};

// The columns of a tile, and the taps that they need.
struct Group {
  int32_t first_tap = 0, tap_count = 0;  // groups that read alike share them
  int32_t first_kib = 0, weights_kib = 0;  // where its packed weights start, and how many there are
  Columns columns[kMaxBlocks] = {};
};

// The columns of a tile, and its output pixels: a box that starts here.
struct Tile {
  int32_t x, y, n, group;
};

// A layer's groups, taps and packed weights.
//
// wgmma rounds its sums towards zero, and the error grows with their length. So a long sum is cut
// into stretches that are added up in float32: rows of taps, or where these are long, some taps of
// a row, or some channels of a tap. Where it is cut depends on the layer alone.
struct Plan {
  Shape shape = Shape::kWide;
  bool half = false;
  bool adds = false;  // the epilogue adds another map
  int step_y = 1, step_x = 1;
  int in_h = 0, in_w = 0;
  std::vector<Tap> taps;
  std::vector<Group> groups;
  std::vector<uint16_t> weights;
  int slices = 1;  // of a split plan: stretches
};

// Whether the kernel can do all of the step.
bool wgmma_suits(const StepFit& fit);
// The shape for large batches.
Shape large_shape(const Step& step);
// Empty groups where the taps would not fit the table.
Plan make_plan(const Step& step, Shape shape, bool half);
// The plan of small tiles for tiny or short ones, whose columns, taps and weights are the same. Without
// groups for short ones where the sum has stretches.
Plan as_shape(Plan small, Shape shape);
// Of tiny tiles that have one stretch each: where a batch has few tiles, more multiprocessors share
// them. They write their sums to scratch, (image, slice, y, x, channel) with channels padded to a
// multiple of 8; add_slices makes the output of them. The bits are those of the other plans. Without
// groups where there is only one stretch.
Plan make_split_plan(const Step& step);

// The tiles of a batch, cut into one list for each multiprocessor.
struct Schedule {
  Box box;
  std::vector<Tile> tiles;
  std::vector<int32_t> begin;
  double cycles = 0.0;  // of the longest list, as modelled
  double with_epilogues = 0.0;  // of a multiprocessor, where epilogues are many
};
Schedule make_schedule(const Plan& plan, int images, int multiprocessors);

}  // namespace facegen::cuda::hopper
