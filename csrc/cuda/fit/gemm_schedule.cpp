// Schedules of the Hopper kernel, on the host: which box of pixels a tile has, and which
// multiprocessor computes which tile.
#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "cuda/fit/gemm_plan.h"

namespace facegen::cuda::hopper {
namespace {

// Modelled cycles of a tile besides its products: filling the pipeline, the epilogue.
constexpr double kTileOverhead = 2500.0;
// And of adding a stretch to the sum: in registers, or where the output will be.
constexpr double kPromotionInRegisters = 100.0, kPromotion = 5000.0;

// Epilogues as measured, by the elements of a tile: with the multiprocessor to itself a tile waits for
// them. (kTileOverhead serves to compare shapes of which none has many.)
constexpr double kEpilogue = 0.65, kAdding = 0.6;
// Of a short tile, while two others run beside it: all but its products, what adding a map takes, and
// a block of 64 channels, whose operands come from the L2 cache.
constexpr double kShortTile = 1900.0, kShortAdding = 1500.0, kShortBlock = 350.0;

// Tensor cycles of a tile: a product of 64 x n x 16 takes n / 2.
double tile_cycles(const Plan& plan, Box box, const Tile& tile) {
  const Group& group = plan.groups[static_cast<std::size_t>(tile.group)];
  const int y = tile.y * plan.step_y, last_y = y + ((1 << box.log2_h) - 1) * plan.step_y;
  const int x = tile.x * plan.step_x, last_x = x + ((1 << box.log2_w) - 1) * plan.step_x;
  int blocks = 0, promotions = 0;
  for (int t = group.first_tap; t < group.first_tap + group.tap_count; ++t) {
    const Tap& tap = plan.taps[static_cast<std::size_t>(t)];
    if (y + tap.dy < plan.in_h && last_y + tap.dy >= 0 && x + tap.dx < plan.in_w &&
        last_x + tap.dx >= 0) {
      promotions += tap.promotes;
      blocks += tap.blocks * (tap.end_block - tap.first_block);
    }
  }
  if (plan.shape == Shape::kShort) {
    return kShortTile + (plan.adds ? kShortAdding : 0.0) + kShortBlock * (plan.half ? 1 : 2) * blocks;
  }
  const int row_tiles = tile_rows(plan.shape) / 64, products = plan.half ? 1 : 3;
  // Products of 64 columns wait for shared memory, which both operands come from.
  const bool in_registers = tile_blocks(plan.shape) == 1;
  const double narrow = in_registers ? 1.25 : 1.0;
  return kTileOverhead + (in_registers ? kPromotionInRegisters : kPromotion) * promotions +
         narrow * double(blocks) * row_tiles * products * 4 * 32;
}

// What a tile takes beside those, where there are many.
double epilogue_cycles(const Plan& plan) {
  if (plan.shape == Shape::kShort) return 0.0;
  const int elements = tile_rows(plan.shape) * tile_blocks(plan.shape) * kBlockChannels;
  return elements * (kEpilogue + (plan.adds ? kAdding : 0.0));
}

// Neighbours in this order share input pixels and weights.
std::vector<Tile> all_tiles(const Plan& plan, Box box, int images) {
  int rows = 0, cols = 0;
  for (const Group& group : plan.groups) {
    for (const Columns& columns : group.columns) {
      rows = std::max(rows, columns.rows);
      cols = std::max(cols, columns.cols);
    }
  }
  std::vector<Tile> tiles;
  for (int n = 0; n < images; n += 1 << box.log2_n) {
    for (int y = 0; y < rows; y += 1 << box.log2_h) {
      for (int x = 0; x < cols; x += 1 << box.log2_w) {
        for (int g = 0; g < static_cast<int>(plan.groups.size()); ++g) {
          tiles.push_back({x, y, n, g});
        }
      }
    }
  }
  return tiles;
}

// Every tile in turn to the list that is shortest so far; the last ones longest first, so that the
// lists end together.
Schedule assign(const Plan& plan, Box box, std::vector<Tile> tiles, int multiprocessors) {
  const int together = plan.shape == Shape::kShort ? kShortCtas : 1;
  std::vector<double> cycles;
  for (const Tile& tile : tiles) cycles.push_back(tile_cycles(plan, box, tile));
  std::vector<std::size_t> order(tiles.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const auto last = std::min(order.size(), static_cast<std::size_t>(4 * multiprocessors));
  // Of equal ones the first: std::stable_sort of GCC 12's library is a warning with Clang 19.
  std::sort(order.end() - static_cast<std::ptrdiff_t>(last), order.end(),
            [&](std::size_t a, std::size_t b) {
              return cycles[a] != cycles[b] ? cycles[a] > cycles[b] : a < b;
            });
  const int ctas = std::min<int>(multiprocessors * together, static_cast<int>(tiles.size()));
  std::vector<std::vector<Tile>> lists(static_cast<std::size_t>(ctas));
  using Load = std::pair<double, int>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (int c = 0; c < ctas; ++c) loads.push({0.0, c});
  Schedule schedule;
  schedule.box = box;
  for (const std::size_t i : order) {
    const auto [load, cta] = loads.top();
    loads.pop();
    auto& list = lists[static_cast<std::size_t>(cta)];
    list.push_back(tiles[i]);
    loads.push({load + cycles[i], cta});
    schedule.cycles = std::max(schedule.cycles, load + cycles[i]);
    const double epilogues = epilogue_cycles(plan) * static_cast<double>(list.size());
    schedule.with_epilogues =
        std::max(schedule.with_epilogues, together * (load + cycles[i] + epilogues));
  }
  for (const auto& list : lists) {
    schedule.begin.push_back(static_cast<int32_t>(schedule.tiles.size()));
    schedule.tiles.insert(schedule.tiles.end(), list.begin(), list.end());
  }
  schedule.begin.push_back(static_cast<int32_t>(schedule.tiles.size()));
  return schedule;
}

}  // namespace

Schedule make_schedule(const Plan& plan, int images, int multiprocessors) {
  // The box whose tiles cost least, counting that the last tiles leave multiprocessors idle.
  int log2_rows = 6;
  while (1 << log2_rows < tile_rows(plan.shape)) ++log2_rows;
  Box best = {};
  double best_cost = -1.0;
  std::vector<Tile> best_tiles;
  for (int log2_w = 0; log2_w <= log2_rows && 1 << log2_w < 2 * plan.in_w; ++log2_w) {
    for (int log2_h = 0; log2_w + log2_h <= log2_rows && 1 << log2_h < 2 * plan.in_h; ++log2_h) {
      const Box box = {log2_w, log2_h, log2_rows - log2_w - log2_h};
      if (((1 << log2_w) - 1) * plan.step_x >= 256 || ((1 << log2_h) - 1) * plan.step_y >= 256) {
        continue;  // the copy engine's limit
      }
      std::vector<Tile> tiles = all_tiles(plan, box, images);
      double total = 0.0, longest = 0.0;
      for (const Tile& tile : tiles) {
        const double cycles = tile_cycles(plan, box, tile);
        total += cycles;
        longest = std::max(longest, cycles);
      }
      const double cost = std::max(longest, total / multiprocessors + 0.25 * longest);
      if (best_cost < 0.0 || cost < best_cost) {
        best_cost = cost;
        best = box;
        best_tiles = std::move(tiles);
      }
    }
  }
  return assign(plan, best, std::move(best_tiles), multiprocessors);
}

}  // namespace facegen::cuda::hopper
