// A row of outputs of a depthwise convolution: every channel by itself, channels in lanes.
//
// A tile is some neighbouring outputs of one vector of channels. Their sums stay in registers over all
// taps: a tap's weights are loaded once for the tile, and each product reads one vector of the input,
// which the taps around it find in the L1 cache. Sums run over the taps in order, those outside the
// input left out.
#pragma once

#include "cpu/kernels.h"
#include "isa/activate.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::DepthwiseLine;

// Outputs of one tile: their sums, a tap's weights and one input fill 10 of 16 registers.
constexpr int kDepthwiseOutputs = 8;

// `Outputs` outputs from number `first` on, by the taps first_tap .. last_tap - 1 of each row.
template <int Outputs>
inline void depthwise_tile(const DepthwiseLine& line, int first, int first_tap, int last_tap) {
  const int64_t step = line.stride * line.pixel_stride;
  const int64_t origin = int64_t{first} * line.stride - line.pad_left;
  float* const out = line.out + first * line.out_stride;
  const Vec low = broadcast(line.low), high = broadcast(line.high);
  for_each_vector(line.channels, [&](int i, auto get, auto put) {
    Vec sum[Outputs] = {};
    for (int y = 0; y < line.row_count; ++y) {
      const float* weights = line.weights + int64_t{y} * line.kernel * line.channels + i;
      for (int t = first_tap; t < last_tap; ++t) {
        const Vec weight = get(weights + int64_t{t} * line.channels);
        const float* in =
            line.rows[y] + (origin + int64_t{t} * line.dilation) * line.pixel_stride + i;
        FACEGEN_UNROLL_ALL
        for (int o = 0; o < Outputs; ++o) {
          sum[o] = multiply_add(weight, get(in + o * step), sum[o]);
        }
      }
    }
    const Vec bias = line.bias != nullptr ? get(line.bias + i) : Vec{};
    FACEGEN_UNROLL_ALL
    for (int o = 0; o < Outputs; ++o) {
      put(out + o * line.out_stride + i, between(sum[o] + bias, low, high));
    }
  });
}

void depthwise(const DepthwiseLine& line) {
  const auto first_position = [&](int o) { return int64_t{o} * line.stride - line.pad_left; };
  const int64_t reach = int64_t{line.kernel - 1} * line.dilation;
  for (int o = 0; o < line.outputs;) {
    const int64_t x = first_position(o);
    const int last = o + kDepthwiseOutputs - 1;
    if (x >= 0 && last < line.outputs && first_position(last) + reach < line.width) {
      depthwise_tile<kDepthwiseOutputs>(line, o, 0, line.kernel);
      o += kDepthwiseOutputs;
      continue;
    }
    // Taps t with 0 <= x + t * dilation < width.
    const int64_t d = line.dilation, before = x < 0 ? (-x + d - 1) / d : 0;
    const int64_t behind = x < line.width ? (line.width - x + d - 1) / d : 0;
    depthwise_tile<1>(line, o, static_cast<int>(before < line.kernel ? before : line.kernel),
                      static_cast<int>(behind < line.kernel ? behind : line.kernel));
    ++o;
  }
}

}  // namespace
