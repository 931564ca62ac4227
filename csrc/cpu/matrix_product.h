// C (rows, columns) = A (rows, depth) * B (depth, columns), blocked for the caches; B is packed once.
//
//            columns: a block of 256             L1 32 KiB   two weight panels of a stretch, 16 KiB
//           +----------------+                   L2 512 KiB  a block of C and a stretch of A's rows
//   192     |   block of C   |                   L3, memory  the panels of A's rows; B, once for them
//   rows    +----------------+
//
// A block of C is summed up over stretches of at most kMaxDepth of the depth: rows of A, copied to a
// panel, meet all weight panels of the block (multiply_rows in isa/gemm_tile.h). It then goes to the
// caller, row by row.
//
// By Strassen's algorithm (strassen.h) A, B and C are cut into 2^levels on each side. A panel then is
// of a sum of blocks of A, made as it is copied, a weight panel of a sum of blocks of B; the block of
// C is one in each of C's blocks, at the same place, and all products are added to those of them that
// take it before the next place. So C is written once, and no block is ever stored in between.
//
// The sum of an element depends on its row and column, in an order that the sizes alone decide: the
// number of threads changes no bit, and without Strassen's algorithm neither does that of the rows.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/strassen.h"

namespace facegen::cpu {

class MatrixProduct {
 public:
  // Takes a piece of a row of C, from column `first` on. Several threads may call it at once.
  using Take = std::function<void(int64_t row, int first, int columns, const float* sums)>;

  // With kernels whose products are of float32. `levels` of Strassen's algorithm.
  MatrixProduct(int64_t depth, int64_t columns, int levels, const Kernels& kernels);

  // Element (k, n) of B is b[k * depth_stride + n * column_stride]; one of the strides is 1.
  void pack(const float* b, int64_t depth_stride, int64_t column_stride, int threads);
  // Rows of A are a_stride floats apart.
  void run(int64_t rows, const float* a, int64_t a_stride, int threads, const Take& take) const;
  // A is not counted.
  Costs costs(int64_t rows) const;

 private:
  // Of the depth of a block.
  struct Stretch {
    int64_t first;
    int depth;
    int64_t weights;  // byte offset in a product's part of packed_
  };
  // Rows of all blocks of C, and weight panels of all of them.
  struct Place {
    int64_t row_begin, row_end;
    int panel_begin, panel_end;
  };
  struct Matrix {
    const float* data;
    int64_t rows, columns, stride;
  };
  void add_up(const Matrix& from, const std::vector<StrassenTerm>& terms, int64_t block_rows,
              int64_t block_columns, int64_t row, int64_t first, int64_t count, float* to) const;
  void pack_panels(std::size_t product, const Stretch& stretch, int first, int panels,
                   const Matrix& b, bool turned);
  void run_rows(const Place& place, const Matrix& a, const Take& take) const;
  void run_place(const Place& place, const float* panels, int64_t rows, const Take& take) const;
  int64_t block_rows() const;
  int64_t block_columns() const;
  int64_t panel_row(int product, std::size_t stretch) const {
    return product * static_cast<int64_t>(stretches_.size()) + static_cast<int64_t>(stretch);
  }

  const Kernels& kernels_;
  int64_t depth_, columns_;
  int side_;  // blocks on a side
  std::vector<StrassenProduct> products_;
  int64_t sub_depth_;  // of a block
  int sub_panels_;
  std::vector<Stretch> stretches_;
  AlignedArray<char> packed_;
  int64_t product_bytes_ = 0;  // of a product's weights
};

}  // namespace facegen::cpu
