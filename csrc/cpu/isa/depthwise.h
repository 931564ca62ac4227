// A row of outputs of a depthwise convolution: every channel by itself, channels in lanes.
//
// A tile is some neighbouring outputs of a few vectors of channels. Their sums stay in registers over
// all taps: a tap's weights are loaded once for the tile, and each product reads one vector of the
// input, which the taps around it find in the L1 cache. Sums run over the taps in order, those outside the
// input left out.
#pragma once

#include "cpu/kernels.h"
#include "isa/activate.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::DepthwiseLine;

// Sums of one tile: with a tap's weights and one input they fill 10 to 13 of 16 registers. Fewer than
// this would wait for each other, so a tile of fewer outputs has more vectors of channels.
constexpr int kDepthwiseSums = 8;
constexpr int kMostDepthwiseVectors = 4;

// Channels from number `i` on, a block of `Vectors` vectors, of `Outputs` outputs from `first` on, by
// the taps first_tap .. last_tap - 1 of each row.
template <int Outputs, int Vectors, typename Get, typename Put>
inline void depthwise_block(const DepthwiseLine& line, int first, int first_tap, int last_tap, int i,
                            Get get, Put put) {
  const int64_t step = line.stride * line.pixel_stride;
  const int64_t origin = int64_t{first} * line.stride - line.pad_left;
  Vec sum[Vectors][Outputs] = {};
  for (int y = 0; y < line.row_count; ++y) {
    const float* weights = line.weights + int64_t{y} * line.kernel * line.channels + i;
    for (int t = first_tap; t < last_tap; ++t) {
      const float* in = line.rows[y] + (origin + int64_t{t} * line.dilation) * line.pixel_stride + i;
      FACEGEN_UNROLL_ALL
      for (int v = 0; v < Vectors; ++v) {
        const Vec weight = get(weights + int64_t{t} * line.channels + v * kLanes);
        FACEGEN_UNROLL_ALL
        for (int o = 0; o < Outputs; ++o) {
          sum[v][o] = multiply_add(weight, get(in + v * kLanes + o * step), sum[v][o]);
        }
      }
    }
  }
  float* const out = line.out + first * line.out_stride + i;
  const Vec low = broadcast(line.low), high = broadcast(line.high);
  FACEGEN_UNROLL_ALL
  for (int v = 0; v < Vectors; ++v) {
    const Vec bias = line.bias != nullptr ? get(line.bias + i + v * kLanes) : Vec{};
    FACEGEN_UNROLL_ALL
    for (int o = 0; o < Outputs; ++o) {
      put(out + v * kLanes + o * line.out_stride, between(sum[v][o] + bias, low, high));
    }
  }
}

// All channels of a tile.
template <int Outputs>
inline void depthwise_tile(const DepthwiseLine& line, int first, int first_tap, int last_tap) {
  constexpr int kVectors =
      kDepthwiseSums / Outputs < kMostDepthwiseVectors ? kDepthwiseSums / Outputs
                                                       : kMostDepthwiseVectors;
  const auto whole = [](const float* p) { return load(p); };
  const auto put_whole = [](float* p, Vec v) { store(p, v); };
  int done = 0;
  for (; kVectors > 1 && done + kVectors * kLanes <= line.channels; done += kVectors * kLanes) {
    depthwise_block<Outputs, kVectors>(line, first, first_tap, last_tap, done, whole, put_whole);
  }
  for_each_vector(line.channels - done, [&](int i, auto get, auto put) {
    depthwise_block<Outputs, 1>(line, first, first_tap, last_tap, done + i, get, put);
  });
}

void depthwise(const DepthwiseLine& line) {
  const auto first_position = [&](int o) { return int64_t{o} * line.stride - line.pad_left; };
  const int64_t reach = int64_t{line.kernel - 1} * line.dilation;
  for (int o = 0; o < line.outputs;) {
    const int64_t x = first_position(o);
    // Whether all taps of so many outputs are within the row.
    const auto inside = [&](int count) {
      const int last = o + count - 1;
      return x >= 0 && last < line.outputs && first_position(last) + reach < line.width;
    };
    if (inside(8)) {
      depthwise_tile<8>(line, o, 0, line.kernel);
      o += 8;
    } else if (inside(4)) {
      depthwise_tile<4>(line, o, 0, line.kernel);
      o += 4;
    } else if (inside(2)) {
      depthwise_tile<2>(line, o, 0, line.kernel);
      o += 2;
    } else {
      // Taps t with 0 <= x + t * dilation < width.
      const int64_t d = line.dilation, before = x < 0 ? (-x + d - 1) / d : 0;
      const int64_t behind = x < line.width ? (line.width - x + d - 1) / d : 0;
      depthwise_tile<1>(line, o, static_cast<int>(before < line.kernel ? before : line.kernel),
                        static_cast<int>(behind < line.kernel ? behind : line.kernel));
      ++o;
    }
  }
}

}  // namespace
