#include "cuda/fit/pool_plan.h"

#include <algorithm>

namespace facegen::cuda {

bool has_windows(const Window& w, int size) {
  return both(w.kernel_h, w.kernel_w) == size && both(w.stride_h, w.stride_w) == 2;
}

PoolWalk plan_pool(int64_t images, int32_t height, int32_t width, int32_t vectors, int64_t most_blocks) {
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

StripWalk plan_strips(int64_t images, int32_t height, int32_t width, int32_t vectors, int32_t most_lanes) {
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

PoolWalk plan_summed_pool(const Window& w, const TrainingValue& x, int64_t images) {
  return plan_pool(images, cells_of(x.h, w.pad_top), cells_of(x.w, w.pad_left), x.c / 4, kPoolSumBlocks);
}

StripWalk plan_summed_strips(const Window& w, const TrainingValue& x, int64_t images) {
  return plan_strips(images, cells_of(x.h, w.pad_top), cells_of(x.w, w.pad_left), x.c / 4, kStripLanes);
}

bool can_sum_pool(const Window& w, const TrainingValue& x) {
  if (x.c % 8 != 0 || x.c > kMostSummedChannels) return false;
  return has_windows(w, 3) || (has_windows(w, 2) && x.c <= kPoolThreads && kPoolThreads % (x.c / 4) == 0);
}

int64_t pool_sum_doubles(const Window& w, const TrainingValue& x, int64_t images) {
  if (!can_sum_pool(w, x)) return 0;
  if (has_windows(w, 2)) return plan_summed_pool(w, x, images).blocks() * x.c;
  const StripWalk walk = plan_summed_strips(w, x, images);
  return walk.blocks(images) * walk.lanes * 4;
}

}  // namespace facegen::cuda
