#include "cuda/fit/product_plan.h"

#include <algorithm>
#include <cstddef>

#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

// Multiprocessors that a plan is made for. Not those of the GPU at hand: sums would have other bits there.
constexpr int64_t kMultiprocessors = 132;

// Steps of 64 that a sum may have before it is added to others in float32: tensor cores round towards zero.
constexpr int64_t kMostSteps = 64;
constexpr int64_t kMostSplits = 64;

// Modelled cycles. Of a step, its products or its operands from the L2 cache take longer; of a tile
// besides, the pipeline's start and the store of its sums.
constexpr double kBytesACycle = 28.0, kTileStart = 2500.0, kStoredBytesACycle = 16.0;
// Of another kernel that adds parts up: its start, and bytes of all multiprocessors.
constexpr double kAddParts = 4000.0, kAddedBytesACycle = 1500.0;

// Products of fewer multiply-adds are launched and split in more time than they take the generic kernel.
constexpr int64_t kLeastProduct = int64_t{1} << 26;

int power_of_two(int64_t least) {
  int log2 = 0;
  while (int64_t{1} << log2 < least) ++log2;
  return log2;
}

// `blocks` of 64 rows, which exist.
double step_cycles(ProductShape shape, OperandFormat format, int64_t blocks) {
  const double rows = std::min<double>(product_rows(shape), 64.0 * static_cast<double>(blocks));
  const double columns = product_columns(shape);
  const double products = products_of(format) * rows / 64.0 * 4.0 * columns / 2.0;
  return std::max(products, (rows + columns) * 64.0 * 2.0 * planes_of(format) / kBytesACycle);
}

// The box whose tiles have the fewest rows outside the phase, the widest of those.
Box pick_box(int32_t height, int32_t width, int64_t images, int log2_pixels, int step_y, int step_x) {
  Box best = {};
  double least = 0.0;
  for (int w = 0; w <= log2_pixels && w <= power_of_two(width); ++w) {
    for (int h = 0; w + h <= log2_pixels && h <= power_of_two(height); ++h) {
      const Box box = {w, h, log2_pixels - w - h};
      // The copy engine's limit.
      if (((1 << w) - 1) * step_x >= 256 || ((1 << h) - 1) * step_y >= 256) continue;
      const double boxes = double(divide_up(width, 1 << w)) * double(divide_up(height, 1 << h)) *
                           double(divide_up(images, int64_t{1} << box.log2_n));
      if (least == 0.0 || boxes <= least) {
        least = boxes;
        best = box;
      }
    }
  }
  return best;
}

}  // namespace

ProductChannels product_channels(const ProductStep& product) {
  const TrainingGroups& groups = product.groups;
  return product_kind(product.step) == ProductKind::kInput ? ProductChannels{groups.outs, groups.ins}
                                                           : ProductChannels{groups.ins, groups.outs};
}

std::optional<ProductPlan> plan_product(const ProductStep& product, int64_t images, OperandFormat format,
                                        bool always) {
  const TrainingStep& s = product.step;
  const ProductKind kind = product_kind(s);
  const bool weight = kind == ProductKind::kWeight;
  const ProductChannels channels = product_channels(product);
  if (product.groups.count != 1 || s.part.groups != 0 || s.phases.empty()) return {};
  if (s.phases.size() > kMostPhases || s.activation > Activation::kTanh) return {};
  int32_t height = 0, width = 0, taps = 0, all_taps = 0;
  int64_t products = 0;
  for (const Phase& p : s.phases) {
    for (const Axis* axis : {&p.y, &p.x}) {
      if (axis->step > 8 || axis->out_step > 8) return {};
      if (axis->step != s.phases[0].y.step || axis->out_step != s.phases[0].y.out_step) return {};
    }
    height = std::max(height, p.y.out);
    width = std::max(width, p.x.out);
    taps = std::max(taps, p.y.taps * p.x.taps);
    all_taps += p.y.taps * p.x.taps;
    products += images * p.y.out * p.x.out * p.y.taps * p.x.taps * channels.depth * channels.columns;
  }
  if (height == 0 || width == 0 || taps == 0) return {};
  // The sums of a tap that no phase has, as where an output is smaller than the stride, would stay unwritten.
  if (weight && all_taps != s.kernel_h * s.kernel_w) return {};
  if (!always && products < kLeastProduct) return {};

  ProductPlan plan = {};
  plan.kind = kind;
  plan.format = format;
  plan.phases = static_cast<int32_t>(s.phases.size());
  plan.channel_blocks = divide_up(channels.depth, kBlockChannels);
  const Axis& axis = s.phases[0].y;
  const int step = weight ? std::max(axis.step, axis.out_step) : axis.step;
  plan.box = pick_box(height, width, images, weight ? 6 : 7, step, step);
  plan.boxes_x = divide_up(width, 1 << plan.box.log2_w);
  plan.boxes_y = divide_up(height, 1 << plan.box.log2_h);
  const int64_t boxes_n = divide_up(images, int64_t{1} << plan.box.log2_n);
  const int64_t boxes = boxes_n * plan.boxes_y * plan.boxes_x;
  if (boxes >= int64_t{1} << 30) return {};
  plan.boxes_n = static_cast<int32_t>(boxes_n);
  const int64_t blocks = int64_t{1} * taps * plan.channel_blocks;
  const int64_t steps = weight ? boxes : blocks;
  const int64_t row_blocks = weight ? blocks : 2 * boxes;
  double best = 0.0;
  for (const ProductShape shape : {ProductShape::kWide, ProductShape::kTall, ProductShape::kNarrow}) {
    const int64_t row_tiles = divide_up(64 * row_blocks, product_rows(shape));
    const int64_t column_tiles = divide_up(channels.columns, product_columns(shape));
    const int64_t tiles = plan.phases * row_tiles * column_tiles;
    const double tile_bytes = 4.0 * product_rows(shape) * product_columns(shape);
    const int64_t least = divide_up(steps, kMostSteps);
    for (int64_t splits = least; splits <= std::max(least, std::min(kMostSplits, steps)); ++splits) {
      const int64_t part = divide_up(steps, splits);
      if (divide_up(steps, part) != splits) continue;
      // Of two tiles at once on a multiprocessor one waits while the other multiplies.
      const int64_t together = product_ctas(kind, shape);
      const double waves = double(divide_up(tiles * splits, kMultiprocessors * together));
      double cycles = waves * (double(together * part) * step_cycles(shape, format, row_blocks) + kTileStart +
                               double(together) * tile_bytes / kStoredBytesACycle);
      if (splits > 1 || weight) {
        cycles += kAddParts + double(tiles * (splits + 1)) * tile_bytes / kAddedBytesACycle;
      }
      if (best != 0.0 && cycles >= best) continue;
      best = cycles;
      plan.shape = shape;
      plan.row_tiles = static_cast<int32_t>(row_tiles);
      plan.column_tiles = static_cast<int32_t>(column_tiles);
      plan.splits = static_cast<int32_t>(splits);
      plan.part_steps = static_cast<int32_t>(part);
    }
  }
  if (best == 0.0 || plan.tiles() >= int64_t{1} << 30) return {};
  plan.finishes = !weight && !product.scatters && plan.splits == 1 && channels.columns % 4 == 0 &&
                  s.activation <= Activation::kLeakyRelu;
  return plan;
}

}  // namespace facegen::cuda::hopper
