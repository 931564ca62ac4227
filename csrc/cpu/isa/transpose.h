// Transposes a block of floats, square by square in registers.
#pragma once

#include <cstdint>

#include "isa/vec.h"

namespace {

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
