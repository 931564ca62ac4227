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

// 0, 1, ... Count - 1 as a type.
template <int Count, int... Lane>
struct Lanes : Lanes<Count - 1, Count - 1, Lane...> {};
template <int... Lane>
struct Lanes<0, Lane...> {};

// Swaps the off-diagonal blocks of size S of two vectors that are S rows apart.
template <int S, int... Lane>
inline void swap_blocks(Vec& low, Vec& high, Lanes<0, Lane...>) {
  const Vec a = low, b = high;
  low = shuffle<(Lane & S ? kLanes + Lane - S : Lane)...>(a, b);
  high = shuffle<(Lane & S ? kLanes + Lane : Lane + S)...>(a, b);
}

// One butterfly step of a square transpose.
template <int S>
inline void transpose_step(Vec* rows) {
  FACEGEN_UNROLL_ALL
  for (int r = 0; r < kLanes; ++r) {
    if (!(r & S)) swap_blocks<S>(rows[r], rows[r + S], Lanes<kLanes>{});
  }
}

// out[channel * out_stride + x] = in[x * in_stride + channel]
void transpose(const float* in, int64_t in_stride, int pixels, int channels, float* out,
               int64_t out_stride) {
  for (int x = 0; x < pixels; x += kLanes) {
    const int width = pixels - x < kLanes ? pixels - x : kLanes;
    for (int c = 0; c < channels; c += kLanes) {
      const int depth = channels - c < kLanes ? channels - c : kLanes;
      const float* block = in + x * in_stride + c;
      float* to = out + c * out_stride + x;
      if (width == kLanes && depth == kLanes) {
        Vec rows[kLanes];
        FACEGEN_UNROLL_ALL
        for (int r = 0; r < kLanes; ++r) rows[r] = load(block + r * in_stride);
        if constexpr (kLanes > 8) transpose_step<8>(rows);
        if constexpr (kLanes > 4) transpose_step<4>(rows);
        transpose_step<2>(rows);
        transpose_step<1>(rows);
        FACEGEN_UNROLL_ALL
        for (int r = 0; r < kLanes; ++r) store(to + r * out_stride, rows[r]);
      } else {
        for (int r = 0; r < width; ++r) {
          for (int k = 0; k < depth; ++k) to[k * out_stride + r] = block[r * in_stride + k];
        }
      }
    }
  }
}

}  // namespace
