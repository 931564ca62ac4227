// The micro-kernel where rows of A lie in the input at equal distances and the whole sum stays in
// registers: no panel of A, no block of C.
//
//   in:  row 0 | run 0: a00 a01 ... |  ...  | run 1 |  ...        rows in_stride apart,
//        row 1 | run 0 |  ...                                     runs run_stride apart
//
// Tiles are as high and wide as gemm_tile.h's, for the same reason. 14 rows at a distance that is
// known when the program runs would take 14 addresses; one for every three rows is enough, since an
// address may hold once or twice another register.
#pragma once

#include "cpu/kernels.h"
#include "isa/activate.h"
#include "isa/vec.h"

namespace {

using facegen::Activation;
using facegen::cpu::DirectLine;
using facegen::cpu::LaneRun;

constexpr int kDirectVectors = 2;
constexpr int kDirectRows = (kRegisters - kDirectVectors - 1) / kDirectVectors;

// Adds bias and add, activates and stores the sums of R rows and one panel.
template <int R, int V>
inline void finish_panel(const DirectLine& line, Vec (&sum)[R][V], int v, int panel, float* out,
                         const float* add) {
  const LaneRun* const first = line.lane_runs + line.first_run[panel];
  const LaneRun* const last = line.lane_runs + line.first_run[panel + 1];
  if (line.bias != nullptr) {
    const Vec bias = load(line.bias + panel * kLanes);
    FACEGEN_UNROLL_ALL
    for (int r = 0; r < R; ++r) sum[r][v] += bias;
  }
  if (add != nullptr) {
    for (const LaneRun* run = first; run != last; ++run) {
      FACEGEN_UNROLL_ALL
      for (int r = 0; r < R; ++r) {
        sum[r][v] += load_lanes(add + r * line.add_stride + run->add, run->lane, run->count);
      }
    }
  }
  if (line.activation == Activation::kRelu) {
    FACEGEN_UNROLL_ALL
    for (int r = 0; r < R; ++r) sum[r][v] = select(sum[r][v] < 0.0f, Vec{}, sum[r][v]);
  } else if (line.activation == Activation::kLeakyRelu) {
    FACEGEN_UNROLL_ALL
    for (int r = 0; r < R; ++r) {
      sum[r][v] = select(sum[r][v] < 0.0f, sum[r][v] * line.alpha, sum[r][v]);
    }
  } else if (line.activation == Activation::kClip) {
    const Vec low = broadcast(line.alpha), high = broadcast(line.beta);
    FACEGEN_UNROLL_ALL
    for (int r = 0; r < R; ++r) sum[r][v] = between(sum[r][v], low, high);
  }
  for (const LaneRun* run = first; run != last; ++run) {
    float* to = out + run->out;
    if (run->count == kLanes) {
      FACEGEN_UNROLL_ALL
      for (int r = 0; r < R; ++r) store(to + r * line.out_stride, sum[r][v]);
    } else {
      FACEGEN_UNROLL_ALL
      for (int r = 0; r < R; ++r) {
        store_lanes(to + r * line.out_stride, sum[r][v], run->lane, run->count);
      }
    }
  }
}

// R rows from `row` on and V panels from `panel` on.
template <int R, int V>
void direct_tile(const DirectLine& line, int row, int panel) {
  constexpr int kGroups = (R + 2) / 3;  // of three rows: one address each
  const int64_t stride = line.in_stride, panel_floats = line.panel_floats;
  const float* start = line.in + row * stride;
  const float* b = line.weights + panel * panel_floats;
  Vec sum[R][V] = {};
  for (int run = 0; run < line.runs; ++run, start += line.run_stride) {
    const float* a[kGroups];
    FACEGEN_UNROLL_ALL
    for (int g = 0; g < kGroups; ++g) a[g] = start + 3 * g * stride;
    FACEGEN_UNROLL(1)
    for (int k = 0; k < line.run_floats; ++k, b += kLanes) {
      Vec column[V];
      FACEGEN_UNROLL_ALL
      for (int v = 0; v < V; ++v) {
        column[v] = load(b + v * panel_floats);
        if (V > 1) __builtin_prefetch(b + (V + v) * panel_floats, 0, 2);  // the next panels: into L2
      }
      FACEGEN_UNROLL_ALL
      for (int r = 0; r < R; ++r) {
        const Vec element = broadcast(a[r / 3][r % 3 * stride]);
        FACEGEN_UNROLL_ALL
        for (int v = 0; v < V; ++v) sum[r][v] = multiply_add(element, column[v], sum[r][v]);
      }
      FACEGEN_UNROLL_ALL
      for (int g = 0; g < kGroups; ++g) ++a[g];
    }
  }
  float* out = line.out + row * line.out_stride;
  const float* add = line.add == nullptr ? nullptr : line.add + row * line.add_stride;
  FACEGEN_UNROLL_ALL
  for (int v = 0; v < V; ++v) finish_panel(line, sum, v, panel + v, out, add);
}

using DirectFunction = void (*)(const DirectLine&, int, int);

// direct_tile<1, V>, direct_tile<2, V>, ... as a table indexed by rows - 1.
template <int V, int Count, int... Index>
struct DirectTiles : DirectTiles<V, Count - 1, Count - 1, Index...> {};
template <int V, int... Index>
struct DirectTiles<V, 0, Index...> {
  static constexpr DirectFunction table[] = {direct_tile<Index + 1, V>...};
};

// The weights of a tile stay in L1 while all rows meet them.
void direct_multiply(const DirectLine& line) {
  const int tiles = (line.rows + kDirectRows - 1) / kDirectRows;
  for (int panel = 0; panel < line.panels; panel += kDirectVectors) {
    const DirectFunction* table = line.panels - panel == 1
                                      ? DirectTiles<1, kDirectRows>::table
                                      : DirectTiles<kDirectVectors, kDirectRows>::table;
    for (int tile = 0; tile < tiles; ++tile) {
      const int first = line.rows * tile / tiles, last = line.rows * (tile + 1) / tiles;
      table[last - first - 1](line, first, panel);
    }
  }
}

}  // namespace
