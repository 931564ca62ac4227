// The transforms of Winograd's convolution, 2 outputs an axis; cpu/winograd.h has the formulas.
//
//   3 taps, 4 points:  v = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)   y = (m0 + m1 + m2, m1 - m2 - m3)
//   2 taps, 3 points:  v = (d0 - d1, d1, d2 - d1)                 y = (m0 + m1, m1 + m2)
//
// Channels are in lanes, so each transform is a few additions of whole vectors. No value is
// multiplied by anything but 1 and -1: every addition rounds once, on every instruction set alike.
#pragma once

#include "cpu/kernels.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::kMaxDepth;
using facegen::cpu::kWinogradPatch;
using facegen::cpu::WinogradInput;
using facegen::cpu::WinogradOutput;

// Second: whether a second row of the patch takes part.
template <int Taps, bool Second>
void winograd_input_rows(const WinogradInput& input) {
  constexpr int kPoints = Taps + 1;
  for (int r = 0; r < input.rows; ++r) {
    const float* const* patch = input.pixels + r * kWinogradPatch * kWinogradPatch;
    const float* first[kPoints];
    const float* second[kPoints];
    float* point[kPoints];
    for (int p = 0; p < kPoints; ++p) {
      first[p] = patch[input.first_row * kWinogradPatch + p] + input.first_channel;
      if constexpr (Second) {
        second[p] = patch[input.second_row * kWinogradPatch + p] + input.first_channel;
      }
      point[p] = input.panels[p] + r * kMaxDepth;
    }
    for_each_vector(input.channels, [&](int i, auto get, auto put) {
      Vec d[kPoints];
#pragma GCC unroll 4
      for (int p = 0; p < kPoints; ++p) {
        d[p] = get(first[p] + i);
        if constexpr (Second) d[p] += input.second_sign * get(second[p] + i);
      }
      if constexpr (Taps == 3) {
        put(point[0] + i, d[0] - d[2]);
        put(point[1] + i, d[1] + d[2]);
        put(point[2] + i, d[2] - d[1]);
        put(point[3] + i, d[1] - d[3]);
      } else {
        put(point[0] + i, d[0] - d[1]);
        put(point[1] + i, d[1]);
        put(point[2] + i, d[2] - d[1]);
      }
    });
  }
}

void winograd_input(const WinogradInput& input) {
  const bool second = input.second_row >= 0;
  if (input.taps == 3) {
    second ? winograd_input_rows<3, true>(input) : winograd_input_rows<3, false>(input);
  } else {
    second ? winograd_input_rows<2, true>(input) : winograd_input_rows<2, false>(input);
  }
}

template <int Taps>
inline void winograd_sums(const Vec* m, Vec& y0, Vec& y1) {
  if constexpr (Taps == 3) {
    y0 = m[0] + m[1] + m[2];
    y1 = m[1] - m[2] - m[3];
  } else {
    y0 = m[0] + m[1];
    y1 = m[1] + m[2];
  }
}

template <int TapsY, int TapsX>
void winograd_output_tile(const WinogradOutput& output) {
  for (int i = 0; i < output.columns; i += kLanes) {
    Vec left[TapsY + 1], right[TapsY + 1];  // of each row of points, transformed along x
#pragma GCC unroll 4
    for (int py = 0; py <= TapsY; ++py) {
      Vec m[TapsX + 1];
#pragma GCC unroll 4
      for (int px = 0; px <= TapsX; ++px) {
        m[px] = load(output.products + (py * (TapsX + 1) + px) * output.point_stride + i);
      }
      winograd_sums<TapsX>(m, left[py], right[py]);
    }
    Vec y00, y01, y10, y11;
    winograd_sums<TapsY>(left, y00, y10);
    winograd_sums<TapsY>(right, y01, y11);
    store(output.sums + i, y00);
    store(output.sums + output.columns + i, y01);
    store(output.sums + 2 * output.columns + i, y10);
    store(output.sums + 3 * output.columns + i, y11);
  }
}

void winograd_output(const WinogradOutput& output) {
  if (output.taps_y == 3) {
    output.taps_x == 3 ? winograd_output_tile<3, 3>(output) : winograd_output_tile<3, 2>(output);
  } else {
    output.taps_x == 3 ? winograd_output_tile<2, 3>(output) : winograd_output_tile<2, 2>(output);
  }
}

}  // namespace
