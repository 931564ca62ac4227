// The matrices of Winograd's convolution, from its points.
//
// A filter g of r taps over n = m + r - 1 inputs d gives m outputs y. Taken as polynomials, the
// outputs are coefficients of a product, and a product of polynomials is known from its values at
// n points (Toom, Cook; one point at infinity: the leading coefficient). So, in matrices,
//
//   y = A ((G g) * (B d))      with one product a point
//
//   B (n, n)   point i: the polynomial that vanishes at all other points, its coefficients
//   G (n, r)   point i: the powers of p[i], over the value of that polynomial at p[i]
//   A (m, n)   output j: p[i]^j
//
// The points decide how fast rounding errors grow. 0, 1, -1 need no multiplications; the larger
// sets were chosen by measured errors (docs/kernels.md) among small dyadic fractions, whose
// coefficients are exact in float32.
#pragma once

#include "host_device.h"

namespace facegen {

constexpr int kWinogradPoints = 6;   // on an axis, at most
constexpr int kWinogradOutputs = 4;  // of a tile on an axis, at most
constexpr int kWinogradTaps = 5;     // on an axis, at most: with 2 outputs; 3 with 4

struct WinogradTransform {
  int points;
  double input[kWinogradPoints][kWinogradPoints];    // B
  double weight[kWinogradPoints][kWinogradTaps];     // G
  double output[kWinogradOutputs][kWinogradPoints];  // A
};

// Internal linkage: every instruction set has its own copy.
FACEGEN_HOST_DEVICE static constexpr WinogradTransform winograd_transform(int outputs, int taps) {
  constexpr double kPoints[kWinogradPoints + 1][kWinogradPoints - 1] = {
      {}, {}, {}, {0, 1}, {0, 1, -1}, {0, 0.5, -1, 1.5}, {0, 0.625, -0.625, 1.5, -1.5}};
  WinogradTransform t{};
  t.points = outputs + taps - 1;
  const double* p = kPoints[t.points];
  const int infinity = t.points - 1;
  for (int i = 0; i < t.points; ++i) {
    // The product of x - p[l] over the other points; its value at p[i].
    double value = 1.0;
    int degree = 0;
    t.input[i][0] = 1.0;
    for (int l = 0; l < infinity; ++l) {
      if (l == i) continue;
      ++degree;
      for (int k = degree; k > 0; --k) t.input[i][k] = t.input[i][k - 1] - p[l] * t.input[i][k];
      t.input[i][0] *= -p[l];
      if (i < infinity) value *= p[i] - p[l];
    }
    double power = 1.0;
    for (int j = 0; j < (outputs > taps ? outputs : taps); ++j) {
      const bool finite = i < infinity;
      if (j < outputs) t.output[j][i] = finite ? power : double(j == outputs - 1);
      if (j < taps) t.weight[i][j] = finite ? power / value : double(j == taps - 1);
      if (finite) power *= p[i];
    }
  }
  return t;
}

// The transforms by the outputs of a tile, then by the taps.
static constexpr WinogradTransform kWinogradTransforms[kWinogradOutputs + 1][kWinogradTaps + 1] = {
    {},
    {},
    {{}, {}, winograd_transform(2, 2), winograd_transform(2, 3), winograd_transform(2, 4),
     winograd_transform(2, 5)},
    {},
    {{}, {}, winograd_transform(4, 2), winograd_transform(4, 3)},
};

}  // namespace facegen
