// The transforms of Winograd's convolution; winograd_transform.h has the matrices.
//
// Channels are in lanes, so a transform is a few multiply-adds of whole vectors by constants. Zeros
// of the matrices are left out when this is compiled.
#pragma once

#include "cpu/kernels.h"
#include "isa/doubles.h"
#include "isa/vec.h"
#include "winograd_transform.h"

namespace {

using facegen::cpu::kMaxDepth;
using facegen::kWinogradOutputs;
using facegen::kWinogradPoints;
using facegen::winograd_transform;
using facegen::cpu::WinogradInput;
using facegen::cpu::WinogradOutput;
using facegen::WinogradTransform;

template <int Outputs, int Taps>
struct Transform {
  static constexpr WinogradTransform value = winograd_transform(Outputs, Taps);
};

// A row of a matrix, known to the compiler. B is the same for all tiles of as many points.
template <int Points, int Row>
struct InputRow {
  static constexpr int kCount = Points, kTaps = Points > 3 ? 3 : 2;
  static constexpr float at(int i) {
    return static_cast<float>(Transform<Points + 1 - kTaps, kTaps>::value.input[Row][i]);
  }
};
template <int Outputs, int Taps, int Row>
struct OutputRow {
  static constexpr int kCount = Outputs + Taps - 1;
  static constexpr float at(int i) {
    return static_cast<float>(Transform<Outputs, Taps>::value.output[Row][i]);
  }
};

// The sum of Row::at(i) * x[i], from the first i on.
template <typename Row, int I, bool Started>
inline Vec rest_of_sum(const Vec* x, Vec sum) {
  if constexpr (I == Row::kCount) {
    return sum;
  } else {
    constexpr float factor = Row::at(I);
    if constexpr (factor == 0.0f) {
      return rest_of_sum<Row, I + 1, Started>(x, sum);
    } else if constexpr (!Started) {
      return rest_of_sum<Row, I + 1, true>(x, factor * x[I]);
    } else if constexpr (factor == 1.0f || factor == -1.0f) {
      return rest_of_sum<Row, I + 1, true>(x, factor > 0.0f ? sum + x[I] : sum - x[I]);
    } else {
      return rest_of_sum<Row, I + 1, true>(x, multiply_add(factor, x[I], sum));
    }
  }
}
template <typename Row>
inline Vec weighted_sum(const Vec* x) {
  return rest_of_sum<Row, 0, false>(x, Vec{});
}

// put(point, value) for each point of an axis.
template <int Points, int P = 0, typename Put>
inline void transform_input(const Vec* d, Put put) {
  put(P, weighted_sum<InputRow<Points, P>>(d));
  if constexpr (P + 1 < Points) transform_input<Points, P + 1>(d, put);
}
// y[j * stride] for each output of an axis.
template <int Outputs, int Taps, int J = 0>
inline void transform_output(const Vec* m, Vec* y, int stride) {
  y[J * stride] = weighted_sum<OutputRow<Outputs, Taps, J>>(m);
  if constexpr (J + 1 < Outputs) transform_output<Outputs, Taps, J + 1>(m, y, stride);
}

template <int Points, int Terms>
void winograd_input_rows(const WinogradInput& input) {
  for (int r = 0; r < input.rows; ++r) {
    const float* const* patch = input.pixels + r * kWinogradPoints * kWinogradPoints;
    const float* pixel[Terms][Points];
    float* point[Points];
    for (int p = 0; p < Points; ++p) {
      for (int t = 0; t < Terms; ++t) {
        pixel[t][p] = patch[input.term_row[t] * kWinogradPoints + p] + input.first_channel;
      }
      point[p] = input.panels[p] + r * kMaxDepth;
    }
    for_each_vector(input.channels, [&](int i, auto get, auto put) {
      Vec d[Points];
      FACEGEN_UNROLL_ALL
      for (int p = 0; p < Points; ++p) {
        d[p] = input.term_factor[0] * get(pixel[0][p] + i);
        FACEGEN_UNROLL_ALL
        for (int t = 1; t < Terms; ++t) {
          d[p] = multiply_add(input.term_factor[t], get(pixel[t][p] + i), d[p]);
        }
      }
      transform_input<Points>(d, [&](int p, Vec v) {
        if (p < input.used_points) put(point[p] + i, v);
      });
    });
  }
}

template <int Points>
void winograd_input_terms(const WinogradInput& input) {
  switch (input.terms) {
    case 1: return winograd_input_rows<Points, 1>(input);
    case 2: return winograd_input_rows<Points, 2>(input);
    case 3: return winograd_input_rows<Points, 3>(input);
    default: return winograd_input_rows<Points, 4>(input);
  }
}

void winograd_input(const WinogradInput& input) {
  switch (input.points) {
    case 3: return winograd_input_terms<3>(input);
    case 4: return winograd_input_terms<4>(input);
    case 5: return winograd_input_terms<5>(input);
    default: return winograd_input_terms<6>(input);
  }
}

template <int Outputs, int TapsY, int TapsX>
void winograd_output_tile(const WinogradOutput& output) {
  constexpr int kPointsY = Outputs + TapsY - 1, kPointsX = Outputs + TapsX - 1;
  for (int i = 0; i < output.columns; i += kLanes) {
    Vec along_x[Outputs][kPointsY];  // row of points by row of points
    FACEGEN_UNROLL_ALL
    for (int py = 0; py < kPointsY; ++py) {
      Vec m[kPointsX];
      FACEGEN_UNROLL_ALL
      for (int px = 0; px < kPointsX; ++px) {
        m[px] = load(output.products + (py * kPointsX + px) * output.point_stride + i);
      }
      transform_output<Outputs, TapsX>(m, &along_x[0][py], kPointsY);
    }
    FACEGEN_UNROLL_ALL
    for (int x = 0; x < Outputs; ++x) {
      Vec y[Outputs];
      transform_output<Outputs, TapsY>(along_x[x], y, 1);
      FACEGEN_UNROLL_ALL
      for (int j = 0; j < Outputs; ++j) {
        store(output.sums + (j * Outputs + x) * output.columns + i, y[j]);
      }
    }
  }
}

// Finds the tile's taps among those that leave no more than kWinogradPoints.
template <int Outputs, int TapsY = 2, int TapsX = 2>
void winograd_output_taps(const WinogradOutput& output) {
  constexpr int kMostTaps = kWinogradPoints + 1 - Outputs;
  if constexpr (TapsY < kMostTaps) {
    if (output.taps_y > TapsY) return winograd_output_taps<Outputs, TapsY + 1, TapsX>(output);
  }
  if constexpr (TapsX < kMostTaps) {
    if (output.taps_x > TapsX) return winograd_output_taps<Outputs, TapsY, TapsX + 1>(output);
  }
  winograd_output_tile<Outputs, TapsY, TapsX>(output);
}

void winograd_output(const WinogradOutput& output) {
  output.outputs == 2 ? winograd_output_taps<2>(output) : winograd_output_taps<4>(output);
}

static_assert(facegen::kWinogradTaps == 5, "as WinogradWeights::along_x says");

// Some weights of a row of points, in double: each is rounded once.
template <typename Load, typename Store>
inline void transform_weights(const facegen::cpu::WinogradWeights& w, int i, Load get, Store put) {
  VecD along_y[facegen::kWinogradTaps];  // (taps_x)
  for (int tx = 0; tx < w.taps_x; ++tx) {
    along_y[tx] = VecD{};
    for (int ty = 0; ty < w.taps_y; ++ty) {
      const float* tap = w.taps[ty * w.taps_x + tx];
      if (tap == nullptr || w.along_y[ty] == 0.0) continue;
      along_y[tx] = multiply_add(get(tap + i), w.along_y[ty] + VecD{}, along_y[tx]);
    }
  }
  for (int p = 0; p < w.points; ++p) {
    VecD sum = {};
    for (int tx = 0; tx < w.taps_x; ++tx) {
      sum = multiply_add(along_y[tx], w.along_x[p][tx] + VecD{}, sum);
    }
    put(w.out + p * w.point_stride + i, __builtin_convertvector(sum, HalfVec));
  }
}

void winograd_weights(const facegen::cpu::WinogradWeights& w) {
  int i = 0;
  for (; i + kHalf <= w.count; i += kHalf) {
    transform_weights(
        w, i, [](const float* p) { return load_doubles(p); },
        [](float* p, HalfVec v) { __builtin_memcpy(p, &v, sizeof v); });
  }
  const int rest = w.count - i;
  if (rest == 0) return;
  const auto load_rest = [rest](const float* p) {
    float part[kHalf] = {};
    for (int k = 0; k < rest; ++k) part[k] = p[k];
    return load_doubles(part);
  };
  transform_weights(w, i, load_rest, [rest](float* p, HalfVec v) {
    for (int k = 0; k < rest; ++k) p[k] = v[k];
  });
}

}  // namespace
