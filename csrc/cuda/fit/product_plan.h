// How the products of training are cut for Hopper's tensor cores (cuda/hopper/training/product.cu): pure
// functions of a step and the batch, so that the order of every sum depends on these alone.
//
// Three products of a layer's maps x, dy and its weight (output channel, tap, input channel):
//
//   forward   y  (row; output channel)       = sum over tap, input channel of   x   weight
//   input     dx (row; input channel)        = sum over tap, output channel of  dy  weight
//   weight    dW (tap, input channel; output channel) = sum over positions of   x   dy
//
// A row, or position, is a pixel of a phase of an image. They come in boxes.
#pragma once

#include <cstdint>
#include <optional>

#include "cuda/fit/box.h"
#include "cuda/fit/product_step.h"

namespace facegen::cuda::hopper {

// Rows and columns of a tile.
enum class ProductShape {
  kWide,    // 128 x 256
  kTall,    // 256 x 128
  kNarrow,  // 256 x 64
};
constexpr int product_rows(ProductShape shape) { return shape == ProductShape::kWide ? 128 : 256; }
constexpr int product_columns(ProductShape shape) {
  return shape == ProductShape::kWide ? 256 : shape == ProductShape::kTall ? 128 : 64;
}

// At once on a multiprocessor: sums of layers of few channels are short, those of a weight's gradient never.
constexpr int product_ctas(ProductKind kind, ProductShape shape) {
  return shape == ProductShape::kNarrow && kind != ProductKind::kWeight ? 2 : 1;
}

struct ProductPlan {
  ProductKind kind;
  ProductShape shape;
  OperandFormat format;
  Box box;                               // of rows; of the weight's gradient: of what is summed over
  int32_t boxes_x, boxes_y, boxes_n;     // of the largest phase
  int32_t channel_blocks;                // of 64, of a tap of A
  int32_t phases, row_tiles, column_tiles;  // tiles of a phase
  int32_t splits, part_steps;            // parts of the sum, each of so many steps of 64; the last may have less
  bool finishes;                         // with bias, activation and what is added to: else another kernel does

  FACEGEN_HOST_DEVICE int64_t tiles() const { return int64_t{1} * phases * row_tiles * column_tiles * splits; }
};

// Channels of a step's operands: of what is summed over in a tap (of the weight's gradient: A's), and of the
// columns.
struct ProductChannels {
  int32_t depth, columns;
};
ProductChannels product_channels(const ProductStep& step);

// Floats from a line of a part's sums to the next: whole vectors.
inline int64_t part_pitch(int32_t columns) { return (columns + 3) / 4 * 4; }

// None where the kernel does not do the step, or, unless `always`, where that takes longer than the generic
// kernel.
std::optional<ProductPlan> plan_product(const ProductStep& step, int64_t images, OperandFormat format,
                                        bool always);

}  // namespace facegen::cuda::hopper
