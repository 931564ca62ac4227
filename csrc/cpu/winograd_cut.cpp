// How Winograd's products are cut into tasks.
#include <algorithm>

#include "cpu/winograd.h"
#include "divide_up.h"

namespace facegen::cpu {
namespace {

// Columns of a task; more where there are few channels, since the input's transform is repeated for
// each block of columns (48 -> 192 channels on 27x27: 0.25 ms with 128, 0.22 ms with 256; 21 channels to 16
// phases of 21: 1.16 ms with 256, 1.0 with 512).
constexpr int64_t kBlockColumns = 128, kBlockColumnsOfFew = 512;
constexpr int kFewChannels = 64;

// What a task comes back to, which should stay in L2: the products of its tiles, and what it reads
// of the input for one stretch. Larger tasks read the weights less often.
constexpr int64_t kTaskBytes = int64_t{1200} << 10;

// With so many rounds of tasks it does not matter how many threads the last one keeps busy.
constexpr int64_t kMostRounds = 8;

}  // namespace

Winograd::Cut Winograd::cut_tasks(int64_t images, int threads) const {
  int64_t tiles = 0, most_points = 0;  // of the largest part
  for (const Part& part : parts_) {
    tiles = std::max(tiles, images * part.tiles());
    most_points = std::max(most_points, int64_t{1} * points(part.y) * points(part.x));
  }
  const int64_t panel_bytes = 4 * kernels_.panel_columns;
  const int64_t block_columns = in_.c > kFewChannels ? kBlockColumns : kBlockColumnsOfFew;
  const int64_t panel_parts = divide_up(panels_ * kernels_.panel_columns, block_columns);
  const int64_t tile_bytes = most_points * divide_up(panels_, panel_parts) * panel_bytes +
                             int64_t{4} * outputs_ * outputs_ * stretch_channels_;
  const int64_t tile_parts = divide_up(tiles, std::max<int64_t>(1, kTaskBytes / tile_bytes));
  const auto parts = static_cast<int64_t>(parts_.size());
  Cut best = {tile_parts, panel_parts};
  if (threads == 1 || parts * tile_parts * panel_parts >= kMostRounds * threads) return best;
  // Few tasks: as many for each thread, so that the last is done as early as can be. A task takes its
  // products; the input's transform, worth about 1.5 panels; and its weights, worth about 2 rows, or,
  // where they are not in L2, the time of kFewestRows. In more rounds threads can help each other.
  const int64_t fewest_rows = packed_bytes_ > parts * kTaskBytes ? kFewestRows : 1;
  double least = 1e300;
  for (int64_t p = panel_parts; p <= panels_; p *= 2) {
    for (int64_t rounds = 1; rounds <= kMostRounds; ++rounds) {
      const int64_t t = std::min(rounds * threads / (parts * p), tiles);
      if (t < tile_parts) continue;
      const int64_t rows = std::max(divide_up(tiles, t), fewest_rows);
      const double longest = static_cast<double>(rounds * (rows + 2)) *
                             (static_cast<double>(divide_up(panels_, p)) + 1.5) *
                             (1.0 + 0.05 / static_cast<double>(rounds));
      if (longest < least) {
        least = longest;
        best = {t, p};
      }
    }
  }
  return best;
}

}  // namespace facegen::cpu
