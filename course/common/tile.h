// The register tile of rung 4 with both operands packed: from rung 5 on it stays as it is.
//
//   A panel (tile rows x depth)         weight panel (depth x lanes), one vector wide
//   row 0  | a00 a01 a02 ... |          k = 0 | b00 b01 ... b0,lanes-1 |
//   row 1  | a10 a11 a12 ... |          k = 1 | b10 b11 ...            |
//          a_stride floats apart        ...     contiguous: one stream a panel
//
// facegen's own is csrc/cpu/isa/gemm_tile.h.
#pragma once

#include "vec.h"

namespace course {

constexpr int kTileRows = (kRegisters - 3) / 2;

template <int R>
void tile(int depth, const float* __restrict a, int64_t a_stride, const float* __restrict b,
          float* const* c, bool accumulate) {
  Vec sum[R][2] = {};
  const int64_t panel = int64_t{depth} * kLanes;
  for (int k = 0; k < depth; ++k) {
    const Vec b0 = load(b + k * kLanes), b1 = load(b + panel + k * kLanes);
    COURSE_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vec element = broadcast(a[r * a_stride + k]);
      sum[r][0] += element * b0;
      sum[r][1] += element * b1;
    }
  }
  COURSE_UNROLL
  for (int r = 0; r < R; ++r) {
    store(c[r], accumulate ? load(c[r]) + sum[r][0] : sum[r][0]);
    store(c[r] + kLanes, accumulate ? load(c[r] + kLanes) + sum[r][1] : sum[r][1]);
  }
}

// C (rows, 2 panels) += or = A (rows, depth) * B (depth, 2 panels); up to kTileRows rows.
template <int R = kTileRows>
void multiply(int rows, int depth, const float* a, int64_t a_stride, const float* b,
              float* const* c, bool accumulate) {
  if constexpr (R > 1) {
    if (rows < R) return multiply<R - 1>(rows, depth, a, a_stride, b, c, accumulate);
  }
  tile<R>(depth, a, a_stride, b, c, accumulate);
}

// B (depth, columns), rows of it `stride` apart, as panels.
inline void pack_panels(const float* b, int64_t stride, int depth, int columns, float* panels) {
  for (int first = 0; first < columns; first += kLanes)
    for (int k = 0; k < depth; ++k, panels += kLanes) store(panels, load(b + k * stride + first));
}

}  // namespace course
