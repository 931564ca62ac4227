// How blocks walk the maps of max pools, by the loops of their kernels: pools.cu, pool_gradients.cu and
// overlapping_pools.cu.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "check.h"
#include "cuda/fit/pool_plan.h"

using namespace facegen;
using namespace facegen::cuda;

namespace {

struct Map {
  int64_t images;
  int32_t height, width, vectors;

  std::size_t places() const {
    return static_cast<std::size_t>(images) * static_cast<std::size_t>(height) * static_cast<std::size_t>(width) *
           static_cast<std::size_t>(vectors);
  }
  // y and x are in the map.
  std::size_t at(int64_t image, int32_t y, int32_t x, int32_t vector) const {
    return static_cast<std::size_t>(((image * height + y) * width + x) * vectors + vector);
  }
};

bool is_all_ones(const std::vector<int>& times) {
  return std::all_of(times.begin(), times.end(), [](int n) { return n == 1; });
}

// As for_each_place of pool.cuh, with the language's own divisions beside.
void test_walk(const Map& map, int64_t most_blocks) {
  const PoolWalk walk = plan_pool(map.images, map.height, map.width, map.vectors, most_blocks);
  CHECK(walk.rows == map.images * map.height && walk.height == map.height);
  CHECK(walk.width == map.width && walk.vectors == map.vectors && walk.block_rows >= 1);
  // All blocks have rows, and no thread's number of an item is too large.
  CHECK(walk.blocks() * walk.block_rows >= walk.rows && (walk.blocks() - 1) * walk.block_rows < walk.rows);
  const int32_t row_items = map.width * map.vectors;
  CHECK(int64_t{walk.block_rows} * row_items <= int64_t{1} << 30);
  if (most_blocks > 0) CHECK(walk.blocks() <= 2 * most_blocks);
  std::vector<int> times(map.places());
  for (int64_t block = 0; block < walk.blocks(); ++block) {
    const auto first = static_cast<int32_t>((walk.blocks() - 1 - block) * walk.block_rows);
    const int32_t items = std::min(walk.block_rows, walk.rows - first) * row_items;
    for (int32_t i = 0; i < items; ++i) {
      const int row = walk.by_row.divide(i), of_row = i - row * row_items, x = walk.by_place.divide(of_row);
      const int image = walk.by_height.divide(first + row);
      CHECK(row == i / row_items && x == of_row / map.vectors && image == (first + row) / map.height);
      ++times[map.at(image, first + row - image * map.height, x, of_row - x * map.vectors)];
    }
  }
  CHECK(is_all_ones(times));
}

// Of maps whose places are too many for a test, the dividers alone.
void test_dividers(int64_t images, int32_t height, int32_t width, int32_t vectors) {
  const PoolWalk walk = plan_pool(images, height, width, vectors);
  const int32_t row_items = width * vectors, items = walk.block_rows * row_items;
  CHECK(walk.blocks() * walk.block_rows >= walk.rows);
  for (const int32_t i : {0, 1, row_items - 1, row_items, items / 2, items - row_items, items - 1}) {
    CHECK(walk.by_row.divide(i) == i / row_items);
  }
  for (const int32_t i : {0, vectors - 1, vectors, row_items / 2, row_items - vectors, row_items - 1}) {
    CHECK(walk.by_place.divide(i) == i / vectors);
  }
  for (const int32_t i : {0, height - 1, height, walk.rows / 2, walk.rows - height, walk.rows - 1}) {
    CHECK(walk.by_height.divide(i) == i / height);
  }
}

// As the kernel of overlapping_pools.cu: which threads write a cell, and which sums they add to.
void test_strips(const Map& cells, int32_t most_lanes) {
  const StripWalk walk = plan_strips(cells.images, cells.height, cells.width, cells.vectors, most_lanes);
  const int32_t threads = walk.lanes * walk.columns;
  CHECK(walk.lanes >= 1 && walk.lanes <= most_lanes && walk.columns >= 2 && threads <= kPoolThreads);
  CHECK(walk.rows >= 2 && walk.height == cells.height);
  // No group, strip or tile has nothing.
  CHECK((walk.groups - 1) * walk.lanes < cells.vectors && (walk.strips - 1) * walk.rows < cells.height);
  CHECK((walk.tiles - 1) * (walk.columns - 1) < cells.width);
  CHECK(walk.blocks(cells.images) == walk.splits(cells.images) * walk.groups);
  std::vector<int> times(cells.places()), sums(static_cast<std::size_t>(walk.blocks(cells.images)));
  for (int64_t block = 0; block < walk.blocks(cells.images); ++block) {
    int64_t rest = walk.blocks(cells.images) - 1 - block;
    const auto take = [&](int32_t count) {
      const auto own = static_cast<int32_t>(rest % count);
      rest /= count;
      return own;
    };
    const int32_t group = take(walk.groups), tile = take(walk.tiles), strip = take(walk.strips);
    const int64_t image = rest;
    CHECK(image < cells.images);
    const int64_t split = (image * walk.strips + strip) * walk.tiles + tile;
    CHECK(split < walk.splits(cells.images));
    ++sums[static_cast<std::size_t>(group * walk.splits(cells.images) + split)];
    const int32_t begin = strip * walk.rows, end = std::min(begin + walk.rows, walk.height);
    for (int32_t thread = 0; thread < threads; ++thread) {
      const int32_t column = thread / walk.lanes, vector = group * walk.lanes + thread % walk.lanes;
      const int32_t x = tile * (walk.columns - 1) + column - 1;
      // The first column's windows are read for those to their right, as the row before a strip is.
      if (column == 0 || vector >= cells.vectors || x >= cells.width) continue;
      for (int32_t y = begin; y < end; ++y) ++times[cells.at(image, y, x, vector)];
    }
  }
  CHECK(is_all_ones(times) && is_all_ones(sums));
}

Window window_of(int32_t size, int32_t pad_top, int32_t pad_left) { return {size, size, 2, 2, pad_top, pad_left}; }

// The windows of `size` that have pixel i of an axis are that of its cell, and of 3x3 that of the cell before.
void test_cells(int32_t axis, int32_t size, int32_t pad) {
  const int32_t cells = cells_of(axis, pad);
  CHECK(2 * cells - pad >= axis && 2 * (cells - 1) - pad < axis);
  for (int32_t i = 0; i < axis; ++i) {
    const int32_t cell = (i + pad) / 2;
    CHECK(cell < cells);
    for (int32_t o = 0; o <= cells; ++o) {
      const int32_t top = 2 * o - pad;
      const bool is_in = top <= i && i < top + size;
      const bool is_found = o == cell || (size == 3 && o + 1 == cell && (i + pad) % 2 == 0);
      CHECK(is_in == is_found);
    }
  }
}

void test_windows() {
  CHECK(both(3, 3) == 3 && both(3, 2) == 0 && both(2, 3) == 0);
  for (int32_t kernel_h = 1; kernel_h <= 5; ++kernel_h) {
    for (int32_t kernel_w = 1; kernel_w <= 5; ++kernel_w) {
      for (int32_t stride_h = 1; stride_h <= 3; ++stride_h) {
        for (int32_t stride_w = 1; stride_w <= 3; ++stride_w) {
          const Window w = {kernel_h, kernel_w, stride_h, stride_w, 0, 1};
          const TrainingValue x = {ValueKind::kArena, 0, 9, 9, 64, 0};
          const bool in_twos = stride_h == 2 && stride_w == 2 && kernel_h == kernel_w;
          for (const int size : {2, 3}) CHECK(has_windows(w, size) == (in_twos && kernel_h == size));
          CHECK(can_sum_pool(w, x) == (in_twos && (kernel_h == 2 || kernel_h == 3)));
        }
      }
    }
  }
}

// Blocks have all cells, and there is memory for the sums of as many channels as there are.
void test_sums(int64_t images, int32_t size, const TrainingValue& x, int32_t pad_top, int32_t pad_left) {
  const Window window = window_of(size, pad_top, pad_left);
  const bool is_possible =
      x.c % 8 == 0 && x.c <= kMostSummedChannels && (size == 3 || (x.c <= 256 && 256 % (x.c / 4) == 0));
  CHECK(can_sum_pool(window, x) == is_possible);
  const int64_t doubles = pool_sum_doubles(window, x, images);
  if (!is_possible) {
    CHECK(doubles == 0);
    return;
  }
  const Map cells = {images, cells_of(x.h, pad_top), cells_of(x.w, pad_left), x.c / 4};
  if (size == 2) {
    const PoolWalk walk = plan_summed_pool(window, x, images);
    CHECK(walk.rows == images * cells.height && walk.width == cells.width && walk.vectors == cells.vectors);
    CHECK(walk.blocks() <= 2 * kPoolSumBlocks);
    // A thread's items, kPoolThreads apart, are of the same channels.
    CHECK(kPoolThreads % walk.vectors == 0);
    CHECK(doubles == walk.blocks() * x.c);
    test_walk(cells, kPoolSumBlocks);
  } else {
    const StripWalk walk = plan_summed_strips(window, x, images);
    CHECK(walk.lanes <= kStripLanes && walk.height == cells.height);
    CHECK((walk.columns - 1) * walk.tiles >= cells.width && walk.rows * walk.strips >= cells.height);
    // Each group has lines of its own, of all of its lanes.
    CHECK(doubles == walk.groups * walk.splits(images) * 4 * walk.lanes && walk.groups * 4 * walk.lanes >= x.c);
    CHECK(walk.groups <= kMostSummedChannels);
    test_strips(cells, kStripLanes);
  }
}

}  // namespace

int main() {
  test_windows();
  for (int32_t axis = 1; axis <= 20; ++axis) {
    for (const int32_t size : {2, 3}) {
      for (int32_t pad = 0; pad < size; ++pad) test_cells(axis, size, pad);
    }
  }
  // Of one row, of one pixel, and of a row that is more than a block has.
  for (const Map& map : {Map{1, 1, 1, 1}, Map{5, 1, 7, 3}, Map{7, 1, 1, 1}, Map{1, 1, 300, 2}, Map{3, 2, 257, 5},
                         Map{2, 40, 111, 96}}) {
    for (const int64_t most : {int64_t{0}, int64_t{1}, int64_t{16}, kPoolSumBlocks}) test_walk(map, most);
    for (const int32_t lanes : {1, kStripLanes, 16}) test_strips(map, lanes);
  }
  test_dividers(256, 1024, 1024, 32);
  test_dividers(1, 65536, 32768, 1);
  test_dividers(int64_t{1} << 30, 1, 1, 1);
  for (const int32_t side : {3, 24, 111}) {
    for (const int32_t channels : {8, 24, 72, 128, 512}) {
      for (const int32_t size : {2, 3}) test_sums(8, size, {ValueKind::kArena, 0, side, side + 2, channels, 0}, 0, 0);
    }
  }
  test_sums(1, 3, {ValueKind::kArena, 0, 5, 5, kMostSummedChannels, 0}, 1, 1);
  test_sums(1, 3, {ValueKind::kArena, 0, 5, 5, kMostSummedChannels + 8, 0}, 1, 1);

  std::mt19937 random(1);
  const auto any = [&](int32_t from, int32_t to) { return std::uniform_int_distribution<int32_t>(from, to)(random); };
  for (int i = 0; i < 300; ++i) {
    const Map map = {any(1, 6), any(1, 40), any(1, 60), any(1, 20)};
    test_walk(map, any(0, 1) * any(1, 600));
    test_strips(map, any(1, 16));
    const int32_t size = any(2, 3);
    const int32_t channels = i % 2 == 0 ? 1 << any(3, 8) : any(1, 90);
    const TrainingValue x = {ValueKind::kArena, 0, any(1, 41), any(1, 41), channels, 0};
    test_sums(any(1, 5), size, x, any(0, size - 1), any(0, size - 1));
  }
  return 0;
}
