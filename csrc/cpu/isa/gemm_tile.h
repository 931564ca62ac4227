// The micro-kernel: C[r][n] += sum_k A[r][k] * B[k][n] for one tile that stays in registers.
//
//   A panel (tile rows x depth)            weight panel (depth x lanes), one vector wide
//   row 0  | a00 a01 a02 ... |             k = 0 | b00 b01 ... b0,lanes-1 |
//   row 1  | a10 a11 a12 ... |             k = 1 | b10 b11 ...            |
//          kMaxDepth floats apart          ...     contiguous: one stream a panel
//
// For each k: V vectors of B are loaded, each A element is broadcast into a register once and
// used V times. Register budget with R rows and V vectors: R*V accumulators + V (B) + 1 (A).
//   AVX-512 (32 registers): 14 x 2 = 28 + 2 + 1 = 31;  6 x 4 = 24 + 4 + 1 = 29
//   AVX2 (16):               6 x 2 = 12 + 2 + 1 = 15
//   NEON (32):               6 x 4, and 6 x 2 for the last panels
//   portable (16 or more):   5 x 2 = 10 + 2 + 1, and one for the product
// Loads a k: R + V, FMAs: R*V, both two a cycle, so 14 x 2 is bound by its FMAs (14 cycles against
// 8 for the loads), and so is every tile of at least 3 rows by 2 vectors.
//
// The sum of one row depends on that row alone: neither the tile's height nor its width changes
// the order of additions, so an image's bits do not depend on the batch it is in.
#pragma once

#include "cpu/kernels.h"
#include "isa/transpose.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::kMaxDepth;

#if defined(__AVX512F__)
constexpr int kTileRows = 14;
#elif defined(__AVX2__) || defined(FACEGEN_NEON)
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 5;  // without FMA, a product needs a register of its own
#endif
static_assert(kTileRows * 2 + 2 + 1 <= kRegisters);

constexpr int kPanelColumns = kLanes;
constexpr auto kProducts = facegen::cpu::Products::kFloat32;
constexpr int kMostDepth = kMaxDepth;
constexpr void (*begin_task)() = nullptr;
constexpr void (*end_task)() = nullptr;

constexpr int kTallest(int vectors) {
  return vectors <= 2 ? kTileRows : (kRegisters - vectors - 1) / vectors;
}

// Meanwhile V * depth places, `ahead_step` bytes apart, are fetched into L2.
template <int R, int V>
void tile(int depth, const float* __restrict a, const float* __restrict b, float* const* c,
          bool accumulate, const char* ahead, int64_t ahead_step) {
  Vec sum[R][V] = {};  // (R, V * kLanes)
  const int64_t panel = static_cast<int64_t>(depth) * kLanes;
  FACEGEN_UNROLL(2)
  for (int k = 0; k < depth; ++k) {
    Vec column[V];
    FACEGEN_UNROLL_ALL
    for (int v = 0; v < V; ++v) {
      column[v] = load(b + v * panel + k * kLanes);
      __builtin_prefetch(ahead + (v * depth + k) * ahead_step, 0, 2);
    }
    FACEGEN_UNROLL_ALL
    for (int r = 0; r < R; ++r) {
      const Vec element = broadcast(a[r * kMaxDepth + k]);
      FACEGEN_UNROLL_ALL
      for (int v = 0; v < V; ++v) sum[r][v] = multiply_add(element, column[v], sum[r][v]);
    }
  }
  FACEGEN_UNROLL_ALL
  for (int r = 0; r < R; ++r) {
    FACEGEN_UNROLL_ALL
    for (int v = 0; v < V; ++v) {
      float* out = c[r] + v * kLanes;
      store(out, accumulate ? load(out) + sum[r][v] : sum[r][v]);
    }
  }
}

using TileFunction = void (*)(int, const float*, const float*, float* const*, bool, const char*,
                              int64_t);

// tile<1, V>, tile<2, V>, ... as a table indexed by rows - 1.
template <int V, int... Index>
struct Tiles {
  static constexpr TileFunction table[] = {tile<Index + 1, V>...};
};
template <int V, int Count, int... Index>
struct MakeTiles : MakeTiles<V, Count - 1, Count - 1, Index...> {};
template <int V, int... Index>
struct MakeTiles<V, 0, Index...> : Tiles<V, Index...> {};

void multiply(int rows, int depth, const void* panel, const void* weights, int panels,
              float* const* c, bool accumulate) {
  const float* a = static_cast<const float*>(panel);
  const float* b = static_cast<const float*>(weights);
  const int64_t panel_floats = static_cast<int64_t>(depth) * kLanes;
  float* moved[kTileRows];
  for (int r = 0; r < rows; ++r) moved[r] = c[r];
  const auto run = [&](TileFunction function, int vectors) {
    const float* const next = b + vectors * panel_floats;
    function(depth, a, b, moved, accumulate, reinterpret_cast<const char*>(next), kLanes * 4);
    b = next;
    panels -= vectors;
    for (int r = 0; r < rows; ++r) moved[r] += vectors * kLanes;
  };
  if (rows <= kTallest(4)) {
    while (panels >= 4) run(MakeTiles<4, kTallest(4)>::table[rows - 1], 4);
  }
  while (panels >= 2) run(MakeTiles<2, kTileRows>::table[rows - 1], 2);
  if (panels == 1) run(MakeTiles<1, kTileRows>::table[rows - 1], 1);
}

// The weights outermost: some panels meet all rows while they are in L1. What comes after them is
// fetched meanwhile, evenly, so that neither memory nor the multiply-adds wait for the other.
void multiply_rows(const facegen::cpu::RowsProduct& p) {
  const int64_t tiles = (p.rows + kTileRows - 1) / kTileRows;
  const int most_vectors = (p.rows + tiles - 1) / tiles <= kTallest(4) ? 4 : 2;
  const float* b = static_cast<const float*>(p.weights);
  float* c = p.c;
  for (int panels = p.panels, vectors; panels > 0; panels -= vectors) {
    vectors = panels >= most_vectors ? most_vectors : panels >= 2 ? 2 : 1;
    const int64_t floats = static_cast<int64_t>(vectors) * p.depth * kLanes;
    const float* const next = panels > vectors ? b + floats : static_cast<const float*>(p.ahead);
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t begin = p.rows * t / tiles;
      const int rows = static_cast<int>(p.rows * (t + 1) / tiles - begin);
      float* row[kTileRows];
      for (int r = 0; r < rows; ++r) row[r] = c + (begin + r) * p.c_stride;
      const TileFunction function = vectors == 4   ? MakeTiles<4, kTallest(4)>::table[rows - 1]
                                    : vectors == 2 ? MakeTiles<2, kTileRows>::table[rows - 1]
                                                   : MakeTiles<1, kTileRows>::table[rows - 1];
      function(p.depth, p.a + begin * kMaxDepth, b, row, p.accumulate,
               reinterpret_cast<const char*>(next + floats * t / tiles), kLanes * 4 / tiles);
    }
    b += floats;
    c += vectors * kLanes;
  }
}

int64_t row_panel_bytes(int) { return int64_t{4} * kTileRows * kMaxDepth; }
int64_t weight_panel_bytes(int depth) { return int64_t{4} * depth * kLanes; }

void gather(const float* const* sources, int64_t source_stride, int rows,
            facegen::cpu::Stretch stretch, const float*, void* panel) {
  float* out = static_cast<float*>(panel);
  for (int t = 0; t < stretch.taps; ++t) {
    for (int r = 0; r < rows; ++r) {
      const float* in = sources[t * source_stride + r];
      float* row = out + r * kMaxDepth + t * stretch.channels;
      for_each_vector(stretch.channels, [&](int i, auto get, auto put) {
        put(row + i, get(in + i));
      });
    }
  }
}

// Neighbouring columns are vectors of the panel as they are; neighbouring channels are transposed.
void pack(const facegen::cpu::WeightSource& source, facegen::cpu::Stretch stretch, void* panels) {
  float* out = static_cast<float*>(panels);
  for (int first = 0; first < source.columns; first += kLanes) {
    const int columns = source.columns - first < kLanes ? source.columns - first : kLanes;
    for (int t = 0; t < stretch.taps; ++t, out += int64_t{stretch.channels} * kLanes) {
      const float* tap = source.weight + source.tap_offset[t] + first * source.column_stride;
      if (source.column_stride == 1) {
        for (int i = 0; i < stretch.channels; ++i, tap += source.channel_stride) {
          store(out + i * kLanes, columns == kLanes ? load(tap) : load_part(tap, columns));
        }
        continue;
      }
      if (columns < kLanes) {
        for (int i = 0; i < stretch.channels; ++i) store(out + i * kLanes, Vec{});
      }
      transpose(tap, source.column_stride, columns, stretch.channels, out, kLanes);
    }
  }
}

}  // namespace
