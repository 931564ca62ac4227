// C (rows, columns) = A (rows, depth) * B (depth, columns), or a batch of such products, in tiles.
//
//   shared memory                     B   16 x 64
//                                     ________________
//                                    |                |
//                          A         |________________|
//                          64 x 16    tile of C: 64 x 64
//                          ___        ________________
//                         |   |      |   |   |   |   |
//                         |   |      |___|_4x4 a thread   256 threads
//                         |   |      |   |   |   |   |
//                         |___|      |___|___|___|___|
//
// A number of A is loaded from memory once for 64 columns, one of B once for 64 rows; from shared memory a
// thread reads 4 of each for its 16 multiply-adds. A lies there by k, so that the 4 rows of a thread are
// neighbours and one vector, as its 4 columns are. What lies beyond an edge is zero, and is multiplied.
//
//   shared memory: 16 x 72 + 16 x 64 floats = 8.5 KiB; registers: 2 x 16 sums a thread
//
// A sum is made of chains of 256 fused multiply-adds in the order of k, as igemm_fma.cu's are: its bits
// depend neither on the tile nor on how many rows there are.
//
// A block does its work in turns: `block.each(turn)` is turn(shared, registers, thread) for all of its
// threads, and a barrier behind it. So nothing of a turn may read what another thread writes in it.
#pragma once

#include <cstdint>

#include "cuda/algorithms/convolution.h"
#include "divide_up.h"

namespace facegen::cuda::algorithms {

constexpr int kProductTile = 64;   // rows and columns
constexpr int kProductDepth = 16;  // of a chunk in shared memory
constexpr int kProductChain = 256;

template <class Store>
struct Product {
  static constexpr const char* kName = "a product in tiles";
  static constexpr int kThreads = 256, kSums = 4;  // rows and columns of a thread
  static constexpr int kBlocks = 4;  // of a multiprocessor, by 64 registers a thread
  // The threads of a warp write 4 k of 8 rows at once: neighbouring k are to lie 8 of the 32 banks apart, so
  // that each thread has a bank of its own. A multiple of 4, for vectors.
  static constexpr int kPitch = kProductTile + 8;
  static_assert(kPitch % 32 == 8);
  static_assert(kThreads * kSums * kSums == kProductTile * kProductTile);
  static_assert(kThreads * kSums == kProductTile * kProductDepth, "a thread fetches 4 of A and of B");

  struct Shared {
    alignas(16) float a[kProductDepth][kPitch];        // (k, row)
    alignas(16) float b[kProductDepth][kProductTile];  // (k, column)
  };
  struct Registers {
    float sum[kSums][kSums], chain[kSums][kSums];
  };

  const float* a;  // (batch, rows, depth)
  const float* b;  // (batch, depth, columns)
  int64_t rows, depth, columns;
  Store store;  // store(batch, row, column, sum)

  template <class Block>
  FACEGEN_DEVICE void operator()(Block& block, int64_t tile, int64_t batch) const {
    const int64_t across = (columns + kProductTile - 1) / kProductTile;
    const int64_t row_tile = quotient(tile, across);
    const int64_t row0 = row_tile * kProductTile;
    const int64_t column0 = (tile - row_tile * across) * kProductTile;
    block.each([](Shared&, Registers& own, int) {
      FACEGEN_DEVICE_UNROLL
      for (int i = 0; i < kSums * kSums; ++i) {
        own.sum[i / kSums][i % kSums] = own.chain[i / kSums][i % kSums] = 0.0f;
      }
    });
    for (int64_t k0 = 0; k0 < depth; k0 += kProductDepth) {
      block.each([&](Shared& shared, Registers&, int thread) {
        fetch_a(shared, thread, batch, row0, k0);
        fetch_b(shared, thread, batch, column0, k0);
      });
      const int64_t end = k0 + kProductDepth;
      block.each([&](Shared& shared, Registers& own, int thread) {
        multiply(shared, own, thread);
        if (end % kProductChain == 0 || end >= depth) end_chain(own);
      });
    }
    block.each([&](Shared&, Registers& own, int thread) {
      FACEGEN_DEVICE_UNROLL
      for (int i = 0; i < kSums; ++i) {
        FACEGEN_DEVICE_UNROLL
        for (int j = 0; j < kSums; ++j) {
          const int64_t row = row0 + first_row(thread) + i, column = column0 + first_column(thread) + j;
          if (row < rows && column < columns) {
            store(batch, row, static_cast<int>(column), own.sum[i][j]);
          }
        }
      }
    });
  }

 private:
  FACEGEN_DEVICE static int first_row(int thread) { return thread / 16 * kSums; }
  FACEGEN_DEVICE static int first_column(int thread) { return thread % 16 * kSums; }

  // 4 threads a row, so that neighbours read neighbours.
  FACEGEN_DEVICE void fetch_a(Shared& shared, int thread, int64_t batch, int64_t row0,
                              int64_t k0) const {
    const int r = thread / 4;
    const float* line = a + (batch * rows + row0 + r) * depth + k0;
    FACEGEN_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int k = thread % 4 + 4 * i;
      const bool inside = row0 + r < rows && k0 + k < depth;
      shared.a[k][r] = inside ? line[k] : 0.0f;
    }
  }

  // 64 threads a k, so that neighbours read neighbours.
  FACEGEN_DEVICE void fetch_b(Shared& shared, int thread, int64_t batch, int64_t column0,
                              int64_t k0) const {
    const int column = thread % kProductTile;
    FACEGEN_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int k = thread / kProductTile + 4 * i;
      const bool inside = column0 + column < columns && k0 + k < depth;
      const int64_t at = (batch * depth + k0 + k) * columns + column0 + column;
      shared.b[k][column] = inside ? b[at] : 0.0f;
    }
  }

  FACEGEN_DEVICE static void multiply(const Shared& shared, Registers& own, int thread) {
    FACEGEN_DEVICE_UNROLL
    for (int k = 0; k < kProductDepth; ++k) {
      float x[kSums], y[kSums];
      FACEGEN_DEVICE_UNROLL
      for (int i = 0; i < kSums; ++i) x[i] = shared.a[k][first_row(thread) + i];
      FACEGEN_DEVICE_UNROLL
      for (int j = 0; j < kSums; ++j) y[j] = shared.b[k][first_column(thread) + j];
      FACEGEN_DEVICE_UNROLL
      for (int i = 0; i < kSums; ++i) {
        FACEGEN_DEVICE_UNROLL
        for (int j = 0; j < kSums; ++j) own.chain[i][j] = fmaf(x[i], y[j], own.chain[i][j]);
      }
    }
  }

  FACEGEN_DEVICE static void end_chain(Registers& own) {
    FACEGEN_DEVICE_UNROLL
    for (int i = 0; i < kSums * kSums; ++i) {
      own.sum[i / kSums][i % kSums] += own.chain[i / kSums][i % kSums];
      own.chain[i / kSums][i % kSums] = 0.0f;
    }
  }
};

template <class Executor, class Store>
void run_product(const Executor& executor, const Product<Store>& product, int64_t batch) {
  const int64_t row_tiles = divide_up(product.rows, kProductTile);
  executor.blocks(row_tiles * divide_up(product.columns, kProductTile), batch, product);
}

}  // namespace facegen::cuda::algorithms
