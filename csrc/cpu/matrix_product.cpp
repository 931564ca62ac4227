#include "cpu/matrix_product.h"

#include <algorithm>

#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Of what stays in L2: the blocks of C at a place, a product and a panel.
constexpr int64_t kBlockRows = 192, kBlockColumns = 256;

// Weight panels that are made together: so many columns of each of B's blocks stay in L2.
constexpr int kPackPanels = 8;

// A thread should have so many places, so that none waits long for another.
constexpr int64_t kPlacesAThread = 4;

}  // namespace

MatrixProduct::MatrixProduct(int64_t depth, int64_t columns, int levels, const Kernels& kernels)
    : kernels_(kernels),
      depth_(depth),
      columns_(columns),
      side_(1 << levels),
      products_(strassen_products(levels)),
      sub_depth_(divide_up(depth, side_)),
      sub_panels_(static_cast<int>(divide_up(columns, int64_t{kernels.panel_columns} * side_))) {
  const int64_t parts = divide_up(sub_depth_, kMaxDepth);
  for (int64_t i = 0; i < parts; ++i) {
    const int64_t first = sub_depth_ * i / parts, last = sub_depth_ * (i + 1) / parts;
    stretches_.push_back({first, static_cast<int>(last - first), product_bytes_});
    product_bytes_ += sub_panels_ * kernels.weight_panel_bytes(stretches_.back().depth);
  }
  packed_ = allocate_aligned<char>(product_bytes_ * static_cast<int64_t>(products_.size()));
}

int64_t MatrixProduct::block_rows() const { return kBlockRows / side_ * (side_ == 2 ? 3 : 4) / 4; }
int64_t MatrixProduct::block_columns() const { return side_ > 2 ? kBlockColumns / 2 : kBlockColumns; }

// to (count) = the sum of a row of blocks of a matrix, from its column `first` on. What is outside the
// matrix is zero.
void MatrixProduct::add_up(const Matrix& from, const std::vector<StrassenTerm>& terms,
                           int64_t block_rows, int64_t block_columns, int64_t row, int64_t first,
                           int64_t count, float* to) const {
  constexpr std::size_t kMostTerms = 16;
  const float* rows[kMostTerms];
  float signs[kMostTerms];
  int found = 0;
  bool whole = true;
  for (const auto& [at, sign] : terms) {
    const int64_t y = at / side_ * block_rows + row, x = at % side_ * block_columns + first;
    if (y >= from.rows || x >= from.columns) continue;
    whole = whole && x + count <= from.columns;
    rows[found] = from.data + y * from.stride + x;
    signs[found++] = sign;
  }
  if (whole && found > 0) {
    kernels_.weighted_sum(rows, signs, found, to, static_cast<int>(count));
    return;
  }
  std::fill_n(to, count, 0.0f);
  for (const auto& [at, sign] : terms) {
    const int64_t y = at / side_ * block_rows + row, x = at % side_ * block_columns + first;
    if (y >= from.rows || x >= from.columns) continue;
    const float* const source = from.data + y * from.stride + x;
    for (int64_t i = 0; i < std::min(count, from.columns - x); ++i) to[i] += sign * source[i];
  }
}

// A task reads its part of all blocks of B once, for all products.
void MatrixProduct::pack(const float* b, int64_t depth_stride, int64_t column_stride,
                         int threads) {
  const int64_t parts = divide_up(sub_panels_, kPackPanels);
  parallel_for(static_cast<int64_t>(stretches_.size()) * parts, threads, [&](int64_t i, int) {
    const auto first = static_cast<int>(sub_panels_ * (i % parts) / parts);
    const auto last = static_cast<int>(sub_panels_ * (i % parts + 1) / parts);
    for (std::size_t p = 0; p < products_.size(); ++p) {
      pack_panels(p, stretches_[static_cast<std::size_t>(i / parts)], first, last - first,
                  {b, depth_stride == 1 ? columns_ : depth_, depth_stride == 1 ? depth_ : columns_,
                   depth_stride == 1 ? column_stride : depth_stride},
                  depth_stride == 1);
    }
  });
}

// Some panels of a product's factor: sums of B's blocks, with the neighbours that B has in memory, then
// as panels. `turned`: B is (columns, depth).
void MatrixProduct::pack_panels(std::size_t product, const Stretch& stretch, int first, int panels,
                                const Matrix& b, bool turned) {
  static thread_local Scratch scratch;
  const int64_t sub_columns = int64_t{sub_panels_} * kernels_.panel_columns;
  const int64_t column = int64_t{first} * kernels_.panel_columns;
  const int64_t columns = int64_t{panels} * kernels_.panel_columns;
  float* const sums = scratch.get<float>(stretch.depth * columns);
  const int64_t rows = turned ? columns : stretch.depth, count = turned ? stretch.depth : columns;
  std::vector<StrassenTerm> terms = products_[product].b;
  if (turned) {
    for (StrassenTerm& term : terms) term.at = term.at % side_ * side_ + term.at / side_;
  }
  for (int64_t r = 0; r < rows; ++r) {
    if (turned) {
      add_up(b, terms, sub_columns, sub_depth_, column + r, stretch.first, count, sums + r * count);
    } else {
      add_up(b, terms, sub_depth_, sub_columns, stretch.first + r, column, count, sums + r * count);
    }
  }
  const int64_t no_offset = 0;
  kernels_.pack({sums, turned ? count : 1, &no_offset, static_cast<int>(columns), turned ? 1 : count},
                {1, stretch.depth},
                packed_.get() + static_cast<int64_t>(product) * product_bytes_ + stretch.weights +
                    first * kernels_.weight_panel_bytes(stretch.depth));
}

void MatrixProduct::run(int64_t rows, const float* a, int64_t a_stride, int threads,
                        const Take& take) const {
  const int64_t sub_rows = divide_up(rows, side_);
  const int64_t tiles = divide_up(sub_rows, kernels_.tile_rows);
  const int64_t wanted = threads > 1 ? kPlacesAThread * threads : 1;
  const int64_t row_parts = std::max(divide_up(sub_rows, block_rows()), std::min(tiles, wanted));
  const int64_t panel_parts = std::min<int64_t>(sub_panels_, divide_up(wanted, row_parts));
  parallel_for(row_parts * panel_parts, threads, [&](int64_t task, int) {
    const int64_t r = task / panel_parts, p = task % panel_parts;
    run_rows({sub_rows * r / row_parts, sub_rows * (r + 1) / row_parts,
              static_cast<int>(sub_panels_ * p / panel_parts),
              static_cast<int>(sub_panels_ * (p + 1) / panel_parts)},
             {a, rows, depth_, a_stride}, take);
  });
}

// Some rows of all blocks of A become panels, which all places to their right read.
void MatrixProduct::run_rows(const Place& place, const Matrix& a, const Take& take) const {
  static thread_local Scratch scratch;
  const int64_t rows = place.row_end - place.row_begin, panel = rows * kMaxDepth;
  const int64_t sub_rows = divide_up(a.rows, side_);
  const auto count = static_cast<int64_t>(products_.size() * stretches_.size());
  float* const panels = scratch.get<float>(count * panel);
  for (std::size_t s = 0; s < stretches_.size(); ++s) {
    for (std::size_t p = 0; p < products_.size(); ++p) {
      float* to = panels + panel_row(static_cast<int>(p), s) * panel;
      for (int64_t r = place.row_begin; r < place.row_end; ++r, to += kMaxDepth) {
        add_up(a, products_[p].a, sub_rows, sub_depth_, r, stretches_[s].first, stretches_[s].depth,
               to);
      }
    }
  }
  const auto step = static_cast<int>(block_columns() / kernels_.panel_columns);
  for (int first = place.panel_begin; first < place.panel_end; first += step) {
    run_place({place.row_begin, place.row_end, first, std::min(first + step, place.panel_end)},
              panels, a.rows, take);
  }
}

void MatrixProduct::run_place(const Place& place, const float* panels, int64_t all_rows,
                              const Take& take) const {
  static thread_local Scratch sum_scratch, product_scratch;
  const auto rows = static_cast<int>(place.row_end - place.row_begin);
  const int width = place.panel_end - place.panel_begin;
  const int64_t stride = int64_t{width} * kernels_.panel_columns, block = rows * stride;
  float* const sums = sum_scratch.get<float>(side_ * side_ * block);  // (side, side, rows, stride)
  float* const product = product_scratch.get<float>(block);
  std::vector<bool> started(static_cast<std::size_t>(side_ * side_), false);
  for (std::size_t p = 0; p < products_.size(); ++p) {
    const auto& terms = products_[p].c;
    // Of one block that it is the first of, it is the sum itself.
    const bool alone = terms.size() == 1 && terms[0].sign > 0 &&
                       !started[static_cast<std::size_t>(terms[0].at)];
    float* const m = alone ? sums + terms[0].at * block : product;
    for (std::size_t s = 0; s < stretches_.size(); ++s) {
      const Stretch& stretch = stretches_[s];
      const int64_t bytes = kernels_.weight_panel_bytes(stretch.depth);
      const char* const weights = packed_.get() + static_cast<int64_t>(p) * product_bytes_ +
                                  stretch.weights + place.panel_begin * bytes;
      kernels_.multiply_rows({rows, stretch.depth,
                              panels + panel_row(static_cast<int>(p), s) * rows * kMaxDepth, weights,
                              width, m, stride, s > 0, weights + sub_panels_ * bytes});
    }
    for (const auto& [at, sign] : terms) {
      const auto index = static_cast<std::size_t>(at);
      float* const sum = sums + at * block;
      const float* const added[] = {m, sum};
      const float signs[] = {sign, 1.0f};
      if (!alone) {
        kernels_.weighted_sum(added, signs, started[index] ? 2 : 1, sum, static_cast<int>(block));
      }
      started[index] = true;
    }
  }
  const int64_t sub_rows = divide_up(all_rows, side_);
  const int64_t sub_columns = int64_t{sub_panels_} * kernels_.panel_columns;
  for (int i = 0; i < side_ * side_; ++i) {
    const int64_t column = i % side_ * sub_columns + place.panel_begin * kernels_.panel_columns;
    if (column >= columns_) continue;
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t row = i / side_ * sub_rows + place.row_begin + r;
      if (row >= all_rows) break;
      take(row, static_cast<int>(column), static_cast<int>(std::min(stride, columns_ - column)),
           sums + i * block + r * stride);
    }
  }
}

Costs MatrixProduct::costs(int64_t rows) const {
  const auto products = static_cast<int64_t>(products_.size());
  const int64_t sub_rows = divide_up(rows, side_), block = std::min(sub_rows, block_rows());
  const int64_t columns = int64_t{sub_panels_} * kernels_.panel_columns;
  const int64_t panels = products * static_cast<int64_t>(stretches_.size()) * kMaxDepth;
  const int64_t sums = (side_ * side_ + 1) * std::min(columns, block_columns());
  // Of whole blocks, or of all numbers that there are where they are not cut.
  const double of_columns = side_ == 1 ? static_cast<double>(columns_) : static_cast<double>(columns);
  return {4 * block * (panels + sums), product_bytes_ * products,
          static_cast<double>(products) * static_cast<double>(sub_rows) *
              static_cast<double>(sub_depth_) * of_columns};
}

}  // namespace facegen::cpu
