// The micro-kernel for layers with 1 to 4 output channels: pixels in lanes, weights broadcast.
//
// The GEMM tile would fill 3 of 16 lanes of a weight vector. Here a vector holds one input channel
// of neighbouring pixels, taken from rows transposed to channel-major order:
//
//   transposed (channel, row, x), zeros around the map      weights (channel, tap, column)
//   channel 0 | row -1: 0 x x x x 0 | row 0: 0 x x ...
//
// so that tap (dy, dx) of all lanes is one unaligned load at a fixed distance, and each loaded
// vector meets every column's weight. Register budget with V vectors and N columns: N*V sums + V
// pixels + 1 weight: AVX-512 and NEON 4*4 + 4 + 1 = 21, AVX2 and SSE2 4*2 + 2 + 1 = 11.
#pragma once

#include "cpu/kernels.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::ThinTile;

constexpr int kThinVectors = kRegisters == 32 ? 4 : 2;
constexpr int kThinColumns = 4;
static_assert(kThinColumns * kThinVectors + kThinVectors + 1 <= kRegisters);

template <int N>
void thin_tile(const ThinTile& tile) {
  Vec sum[N][kThinVectors] = {};
  const float* weight = tile.weights;
  const float* pixels[kThinVectors];
  for (int v = 0; v < kThinVectors; ++v) pixels[v] = tile.pixels[v];
  for (int channel = 0; channel < tile.channels; ++channel) {
    for (int t = 0; t < tile.taps; ++t) {
      const int64_t offset = tile.tap_offset[t];
      Vec pixel[kThinVectors];
      FACEGEN_UNROLL_ALL
      for (int v = 0; v < kThinVectors; ++v) pixel[v] = load(pixels[v] + offset);
      FACEGEN_UNROLL_ALL
      for (int n = 0; n < N; ++n) {
        const Vec w = broadcast(weight[n]);
        FACEGEN_UNROLL_ALL
        for (int v = 0; v < kThinVectors; ++v) sum[n][v] = multiply_add(w, pixel[v], sum[n][v]);
      }
      weight += N;
    }
    FACEGEN_UNROLL_ALL
    for (int v = 0; v < kThinVectors; ++v) pixels[v] += tile.channel_stride;
  }
  for (int n = 0; n < N; ++n) {
    for (int v = 0; v < kThinVectors; ++v) {
      float* out = tile.sums + (n * kThinVectors + v) * kLanes;
      store(out, tile.accumulate ? load(out) + sum[n][v] : sum[n][v]);
    }
  }
}

void thin_multiply(const ThinTile& tile) {
  switch (tile.columns) {
    case 1: return thin_tile<1>(tile);
    case 2: return thin_tile<2>(tile);
    case 3: return thin_tile<3>(tile);
    default: return thin_tile<4>(tile);
  }
}

}  // namespace
