// How max pools and their gradients are cut for a GPU: pure functions of windows, maps and the batch.
#pragma once

#include <cstdint>

#include "cuda/fit/divide.h"
#include "divide_up.h"
#include "training_program.h"

namespace facegen::cuda {

constexpr int kPoolThreads = 256;  // of a block

// Of both axes; 0: they differ.
inline int both(int a, int b) { return a == b ? a : 0; }

// Whether windows are of so many pixels each way, two apart.
bool has_windows(const Window& w, int size);

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
PoolWalk plan_pool(int64_t images, int32_t height, int32_t width, int32_t vectors, int64_t most_blocks = 0);

// Columns of cells that go down strips of rows: see overlapping_pools.cu.
struct StripWalk {
  int32_t lanes, columns;         // a block's threads: `lanes` side by side, of columns of cells, one before its own
  int32_t groups, tiles, strips;  // of so many lanes, columns and rows
  int32_t rows;                   // of a strip
  int32_t height;                 // cells

  int64_t splits(int64_t images) const { return images * strips * tiles; }  // blocks of a group
  int64_t blocks(int64_t images) const { return splits(images) * groups; }
};
StripWalk plan_strips(int64_t images, int32_t height, int32_t width, int32_t vectors, int32_t most_lanes);
constexpr int32_t kStripLanes = 8;  // of four channels each: a line of memory

// The gradient of a pool that is summed over pixels where it is made, four channels at a time: one of x.
constexpr int64_t kPoolSumBlocks = 512;  // the last of them adds up all of their sums
PoolWalk plan_summed_pool(const Window& w, const TrainingValue& x, int64_t images);
StripWalk plan_summed_strips(const Window& w, const TrainingValue& x, int64_t images);

constexpr int32_t kMostSummedChannels = 4096;  // for which there are counters of blocks that arrive

// Whether its kernel can: of windows apart, a thread has the same channels of all its pixels.
bool can_sum_pool(const Window& w, const TrainingValue& x);
// Sums of its blocks.
int64_t pool_sum_doubles(const Window& w, const TrainingValue& x, int64_t images);

}  // namespace facegen::cuda
