// C (rows, columns) = A (rows, depth) * B (depth, columns), blocked for the caches; B is packed once.
//
//            columns: a block of 256             L1 32 KiB   two weight panels of a stretch, 16 KiB
//           +----------------+                   L2 512 KiB  a block of C and a stretch of A's rows
//   192     |   block of C   |                   L3, memory  B, once a block of rows
//   rows    +----------------+
//
// A block of C is summed up over stretches of at most kMaxDepth of the depth: some rows of A are
// copied to a panel, which meets all weight panels of the block (multiply_rows in
// isa/gemm_tile.h). It then goes to the caller, row by row.
//
// The sum of an element depends on its row and column alone, in an order that the depth alone
// decides: neither the number of rows nor that of threads changes a bit.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"

namespace facegen::cpu {

class MatrixProduct {
 public:
  // Takes a piece of a row of C, from column `first` on. Several threads may call it at once.
  using Take = std::function<void(int64_t row, int first, int columns, const float* sums)>;

  // With kernels whose products are of float32.
  MatrixProduct(int64_t depth, int64_t columns, const Kernels& kernels);

  // Element (k, n) of B is b[k * depth_stride + n * column_stride]; one of the strides is 1.
  void pack(const float* b, int64_t depth_stride, int64_t column_stride, int threads);
  // Rows of A are a_stride floats apart.
  void run(int64_t rows, const float* a, int64_t a_stride, int threads, const Take& take) const;
  // A is not counted.
  Costs costs(int64_t rows) const;

 private:
  struct Stretch {
    int64_t first;
    int depth;
    int64_t weights;  // byte offset in packed_
  };
  struct Block {
    int64_t row_begin, row_end;
    int panel_begin, panel_end;
  };
  void run_block(const Block& block, const float* a, int64_t a_stride, const Take& take) const;

  const Kernels& kernels_;
  int columns_, panels_;
  std::vector<Stretch> stretches_;
  AlignedArray<char> packed_;
  int64_t packed_bytes_ = 0;
};

}  // namespace facegen::cpu
