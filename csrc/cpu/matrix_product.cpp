#include "cpu/matrix_product.h"

#include <algorithm>

#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

constexpr int64_t kBlockRows = 192, kBlockColumns = 256;

// A thread should have so many blocks, so that none waits long for another.
constexpr int64_t kBlocksAThread = 4;

}  // namespace

MatrixProduct::MatrixProduct(int64_t depth, int64_t columns, const Kernels& kernels)
    : kernels_(kernels),
      columns_(static_cast<int>(columns)),
      panels_(static_cast<int>(divide_up(columns, kernels.panel_columns))) {
  const int64_t parts = divide_up(depth, kMaxDepth);
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t first = depth * i / parts, last = depth * (i + 1) / parts;
    const auto stretch = static_cast<int>(last - first);
    stretches_.push_back({first, stretch, packed_bytes_});
    packed_bytes_ += panels_ * kernels.weight_panel_bytes(stretch);
  }
  packed_ = allocate_aligned<char>(packed_bytes_);
}

void MatrixProduct::pack(const float* b, int64_t depth_stride, int64_t column_stride,
                         int threads) {
  parallel_for(static_cast<int64_t>(stretches_.size()), threads, [&](int64_t i, int) {
    const Stretch& stretch = stretches_[static_cast<std::size_t>(i)];
    const int64_t no_offset = 0;
    kernels_.pack({b + stretch.first * depth_stride, column_stride, &no_offset, columns_,
                   depth_stride},
                  {1, stretch.depth}, packed_.get() + stretch.weights);
  });
}

void MatrixProduct::run(int64_t rows, const float* a, int64_t a_stride, int threads,
                        const Take& take) const {
  const int64_t panel_parts = divide_up(int64_t{panels_} * kernels_.panel_columns, kBlockColumns);
  const int64_t wanted = threads > 1 ? divide_up(kBlocksAThread * threads, panel_parts) : 1;
  const int64_t tiles = divide_up(rows, kernels_.tile_rows);
  const int64_t row_parts = std::max(divide_up(rows, kBlockRows), std::min(tiles, wanted));
  parallel_for(row_parts * panel_parts, threads, [&](int64_t task, int) {
    const int64_t r = task / panel_parts, p = task % panel_parts;
    run_block({rows * r / row_parts, rows * (r + 1) / row_parts,
               static_cast<int>(panels_ * p / panel_parts),
               static_cast<int>(panels_ * (p + 1) / panel_parts)},
              a, a_stride, take);
  });
}

void MatrixProduct::run_block(const Block& block, const float* a, int64_t a_stride,
                              const Take& take) const {
  static thread_local Scratch c_scratch, panel_scratch;
  const auto rows = static_cast<int>(block.row_end - block.row_begin);
  const int panels = block.panel_end - block.panel_begin;
  const int64_t stride = int64_t{panels} * kernels_.panel_columns;
  float* const c = c_scratch.get<float>(rows * stride);
  float* const panel = panel_scratch.get<float>(int64_t{rows} * kMaxDepth);
  for (const Stretch& stretch : stretches_) {
    for (int64_t r = 0; r < rows; ++r) {
      std::copy_n(a + (block.row_begin + r) * a_stride + stretch.first, stretch.depth,
                  panel + r * kMaxDepth);
    }
    const int64_t panel_bytes = kernels_.weight_panel_bytes(stretch.depth);
    const char* const weights = packed_.get() + stretch.weights + block.panel_begin * panel_bytes;
    kernels_.multiply_rows({rows, stretch.depth, panel, weights, panels, c, stride,
                            stretch.first > 0, weights + panels_ * panel_bytes});
  }
  const int first = block.panel_begin * kernels_.panel_columns;
  const int columns = std::min<int>(static_cast<int>(stride), columns_ - first);
  for (int64_t r = 0; r < rows; ++r) take(block.row_begin + r, first, columns, c + r * stride);
}

Costs MatrixProduct::costs(int64_t rows) const {
  const int64_t columns = int64_t{panels_} * kernels_.panel_columns;
  const int64_t depth = stretches_.empty() ? 0 : stretches_.back().first + stretches_.back().depth;
  const int64_t row = std::min(columns, kBlockColumns) + kMaxDepth;
  return {4 * std::min(rows, kBlockRows) * row, packed_bytes_,
          static_cast<double>(rows) * static_cast<double>(depth) * columns_};
}

}  // namespace facegen::cpu
