// The micro-kernel of weight gradients: C[r][n] += sum over pixels of a[r] * b[n].
//
//   a: the gradient of the outputs, NHWC           b: the input's pixel under one tap, NHWC
//   pixel 0 | a0 a1 ... a13 | other channels       pixel 0 | b0 b1 ... b31 | other channels
//   pixel 1 | a0 a1 ... a13 | ...                  pixel 1 | b0 b1 ... b31 | ...
//
// Channels are neighbours in memory, so each pixel gives the outer product of two short rows as they
// lie: nothing is transposed, nothing packed. A pixel's elements of `a` are broadcast, its vectors of
// `b` loaded; the sums of a tile of R x V vectors stay in registers over all pixels of all runs.
// The register budget and the loads are those of gemm_tile.h.
//
// A sum is made pixel by pixel, whatever the tile: its bits do not depend on how C is cut.
#pragma once

#include "cpu/training/kernels.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::OuterProduct;
using facegen::cpu::PixelRun;

#if defined(__AVX512F__)
constexpr int kOuterRows = 14;
#elif defined(__AVX2__) || defined(FACEGEN_NEON)
constexpr int kOuterRows = 6;
#else
constexpr int kOuterRows = 5;  // without FMA, a product needs a register of its own
#endif
static_assert(kOuterRows * 2 + 2 + 1 <= kRegisters);

constexpr int tallest_outer(int vectors) {
  return vectors <= 2 ? kOuterRows : (kRegisters - vectors - 1) / vectors;
}

// The last of the V vectors has `rest` lanes where Part is set.
template <int R, int V, bool Part>
void outer_tile(const OuterProduct& p, int64_t a_offset, int64_t b_offset, float* c, int rest) {
  Vec sum[R][V] = {};
  for (int64_t i = 0; i < p.run_count; ++i) {
    const PixelRun& run = p.runs[i];
    const float* a = run.a + a_offset;
    const float* b = run.b + b_offset;
    for (int64_t k = 0; k < run.count; ++k, a += run.a_stride, b += run.b_stride) {
      Vec column[V];
      FACEGEN_UNROLL_ALL
      for (int v = 0; v < V; ++v) {
        const bool part = Part && v == V - 1;
        column[v] = part ? load_part(b + v * kLanes, rest) : load(b + v * kLanes);
      }
      FACEGEN_UNROLL_ALL
      for (int r = 0; r < R; ++r) {
        const Vec element = broadcast(a[r]);
        FACEGEN_UNROLL_ALL
        for (int v = 0; v < V; ++v) sum[r][v] = multiply_add(element, column[v], sum[r][v]);
      }
    }
  }
  FACEGEN_UNROLL_ALL
  for (int r = 0; r < R; ++r) {
    FACEGEN_UNROLL_ALL
    for (int v = 0; v < V; ++v) {
      float* out = c + r * p.c_stride + v * kLanes;
      store(out, p.accumulate ? load(out) + sum[r][v] : sum[r][v]);
    }
  }
}

using OuterFunction = void (*)(const OuterProduct&, int64_t, int64_t, float*, int);

// outer_tile<1, V>, outer_tile<2, V>, ... as a table indexed by rows - 1.
template <int V, bool Part, int... Index>
struct OuterTiles {
  static constexpr OuterFunction table[] = {outer_tile<Index + 1, V, Part>...};
};
template <int V, bool Part, int Count, int... Index>
struct MakeOuterTiles : MakeOuterTiles<V, Part, Count - 1, Count - 1, Index...> {};
template <int V, bool Part, int... Index>
struct MakeOuterTiles<V, Part, 0, Index...> : OuterTiles<V, Part, Index...> {};

template <int V>
OuterFunction find_outer_tile(int rows, bool part) {
  return part ? MakeOuterTiles<V, true, tallest_outer(V)>::table[rows - 1]
              : MakeOuterTiles<V, false, tallest_outer(V)>::table[rows - 1];
}

void outer_product(const OuterProduct& p) {
  const int tiles = (p.rows + kOuterRows - 1) / kOuterRows;
  const int most_vectors = (p.rows + tiles - 1) / tiles <= tallest_outer(4) ? 4 : 2;
  for (int column = 0, vectors; column < p.columns; column += vectors * kLanes) {
    const int left = (p.columns - column + kLanes - 1) / kLanes;
    vectors = left >= most_vectors ? most_vectors : left >= 2 ? 2 : 1;
    const int rest = p.columns - column - (vectors - 1) * kLanes;
    const bool part = rest < kLanes;
    for (int t = 0; t < tiles; ++t) {
      const int begin = p.rows * t / tiles, rows = p.rows * (t + 1) / tiles - begin;
      const OuterFunction tile = vectors == 4   ? find_outer_tile<4>(rows, part)
                                 : vectors == 2 ? find_outer_tile<2>(rows, part)
                                                : find_outer_tile<1>(rows, part);
      tile(p, p.a_offset + begin, p.b_offset + column, p.c + begin * p.c_stride + column, rest);
    }
  }
}

}  // namespace
