// How the gradients of max pools are cut for a GPU.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/fit/divide.h"
#include "divide_up.h"
#include "training_program.h"

namespace facegen::cuda {

constexpr int kPoolThreads = 256;  // of a block

// Of both axes; 0: they differ.
inline int both(int a, int b) { return a == b ? a : 0; }

// Whether windows are of so many pixels each way, two apart.
inline bool has_windows(const Window& w, int size) {
  return both(w.kernel_h, w.kernel_w) == size && both(w.stride_h, w.stride_w) == 2;
}

// Cells of 2x2 pixels, each the first of a window's, of an axis.
inline int32_t cells_of(int32_t size, int32_t pad) { return divide_up(size + pad, 2); }

// How blocks walk places (pixels of y or x, or cells) row by row, the last first.
struct PoolWalk {
  int32_t rows;  // of all images
  int32_t height, width, vectors;  // of a place
  int32_t block_rows;
  Divider by_row, by_place, by_height;

  int64_t blocks() const { return divide_up(rows, block_rows); }
};
// `most_blocks`: up to about so many; 0: any.
inline PoolWalk plan_pool(int64_t images, int32_t height, int32_t width, int32_t vectors, int64_t most_blocks = 0) {
  const int64_t rows = images * height;
  const int32_t row = width * vectors;
  // Four a thread, if that leaves blocks for all of a large GPU.
  const int64_t least = most_blocks == 0 ? 0 : rows * row / most_blocks;
  const int64_t block = std::max<int64_t>(least, (rows * row > 4 * kPoolThreads * 512 ? 4 : 1) * kPoolThreads);
  return {static_cast<int32_t>(rows),
          height,
          width,
          vectors,
          static_cast<int32_t>(std::clamp<int64_t>(block / row, 1, (int64_t{1} << 30) / row)),
          make_divider(row),
          make_divider(vectors),
          make_divider(height)};
}

// Columns of cells that go down strips of rows: see overlapping_pools.cu.
struct StripWalk {
  int32_t lanes, columns;         // a block's threads: `lanes` side by side, of columns of cells, one before its own
  int32_t groups, tiles, strips;  // of so many lanes, columns and rows
  int32_t rows;                   // of a strip
  int32_t height;                 // cells

  int64_t splits(int64_t images) const { return images * strips * tiles; }  // blocks of a group
  int64_t blocks(int64_t images) const { return splits(images) * groups; }
};
inline StripWalk plan_strips(int64_t images, int32_t height, int32_t width, int32_t vectors, int32_t most_lanes) {
  StripWalk walk = {};
  walk.groups = divide_up(vectors, most_lanes);
  walk.lanes = divide_up(vectors, walk.groups);
  walk.tiles = divide_up(width, kPoolThreads / walk.lanes - 1);
  walk.columns = divide_up(width, walk.tiles) + 1;
  walk.height = height;
  // The row before a strip is computed twice; but all of a large GPU should have strips.
  for (walk.rows = 16;; walk.rows /= 2) {
    walk.strips = divide_up(height, walk.rows);
    if (walk.rows == 2 || walk.blocks(images) >= 1024) return walk;
  }
}
constexpr int32_t kStripLanes = 8;  // of four channels each: a line of memory

// The gradient of a pool that is summed over pixels where it is made, four channels at a time: one of x.
constexpr int64_t kPoolSumBlocks = 512;  // the last of them adds up all of their sums
inline PoolWalk plan_summed_pool(const Window& w, const TrainingValue& x, int64_t images) {
  return plan_pool(images, cells_of(x.h, w.pad_top), cells_of(x.w, w.pad_left), x.c / 4, kPoolSumBlocks);
}
inline StripWalk plan_summed_strips(const Window& w, const TrainingValue& x, int64_t images) {
  return plan_strips(images, cells_of(x.h, w.pad_top), cells_of(x.w, w.pad_left), x.c / 4, kStripLanes);
}

constexpr int32_t kMostSummedChannels = 4096;  // for which there are counters of blocks that arrive

// Whether its kernel can: of windows apart, a thread has the same channels of all its pixels.
inline bool can_sum_pool(const Window& w, const TrainingValue& x) {
  if (x.c % 8 != 0 || x.c > kMostSummedChannels) return false;
  return has_windows(w, 3) || (has_windows(w, 2) && x.c <= kPoolThreads && kPoolThreads % (x.c / 4) == 0);
}
// Sums of its blocks.
inline int64_t pool_sum_doubles(const Window& w, const TrainingValue& x, int64_t images) {
  if (!can_sum_pool(w, x)) return 0;
  if (has_windows(w, 2)) return plan_summed_pool(w, x, images).blocks() * x.c;
  const StripWalk walk = plan_summed_strips(w, x, images);
  return walk.blocks(images) * walk.lanes * 4;
}

}  // namespace facegen::cuda
