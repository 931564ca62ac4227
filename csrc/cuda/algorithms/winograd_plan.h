// How a layer is cut for winograd.h, on the host: axes into tiles and grids, and the transformed weights.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "cuda/algorithms/product.h"
#include "divide_up.h"
#include "winograd_transform.h"

namespace facegen::cuda::algorithms {

constexpr int kTileOutputs = 2;  // of a tile on an axis

// Scratch memory of an image, about: tiles of large images are computed in stretches.
constexpr int64_t kStretchFloats = int64_t{1} << 24;

// An axis of a phase. With stride s its taps fall into s grids, each with every s-th position of the input,
// over which a filter of every s-th tap runs with stride 1. With dilation d the outputs of a tile are d
// apart, so that they read d apart as well.
struct WinogradAxis {
  explicit WinogradAxis(const Axis& axis)
      : out(axis.out),
        step(axis.step),
        gap(axis.step == 1 ? std::abs(axis.dir) : 1),
        side_by_side(std::min(gap, axis.out)),
        grids(axis.step),
        // The last tap of a transposed convolution reads the lowest position.
        low(axis.dir > 0 ? axis.base : axis.base + axis.dir * (axis.taps - 1)),
        points(kTileOutputs - 1 + static_cast<int>(divide_up(axis.taps, axis.step))),
        tiles(side_by_side * divide_up(out, int64_t{gap} * kTileOutputs)) {}

  // The first output of a tile: 0, 1, .. gap - 1, then those behind the second outputs of these.
  FACEGEN_DEVICE int64_t first_output(int64_t tile) const {
    const int64_t lot = quotient(tile, side_by_side);
    return lot * kTileOutputs * gap + tile - lot * side_by_side;
  }
  // The position that point i of the patch of output o has, in a grid.
  FACEGEN_DEVICE int64_t position(int64_t o, int32_t grid, int32_t i) const {
    return low + grid + o * step + int64_t{i} * step * gap;
  }

  int32_t out, step;
  int32_t gap;           // between the outputs of a tile
  int32_t side_by_side;  // first outputs next to each other
  int32_t grids, low;
  int32_t points;  // of a tile: its outputs, and a tap less
  int64_t tiles;
};

// A phase.
struct WinogradPart {
  WinogradPart(const Phase& of, const Convolution& layer)
      : phase(of),
        y(of.y),
        x(of.x),
        depth(int64_t{y.grids} * x.grids * layer.in_c),
        tile_floats(points() * (depth + layer.out_c)) {}
  int64_t points() const { return int64_t{y.points} * x.points; }
  int64_t tiles() const { return y.tiles * x.tiles; }  // of an image

  Phase phase;
  WinogradAxis y, x;
  int64_t depth;        // numbers that a product sums up: (grid along y, grid along x, channel)
  int64_t tile_floats;  // of V and M
  int64_t weights = 0;  // where its U begins
};

inline std::vector<WinogradPart> winograd_parts(const Convolution& layer) {
  std::vector<WinogradPart> parts;
  int64_t weights = 0;
  for (const Phase& phase : layer.phases) {
    if (phase.y.out <= 0 || phase.x.out <= 0) continue;
    parts.emplace_back(phase, layer);
    parts.back().weights = weights;
    weights += parts.back().points() * parts.back().depth * layer.out_c;
  }
  return parts;
}

// Scratch memory of an image: a stretch of any part, of a product's tile of rows at least.
inline int64_t winograd_floats(const std::vector<WinogradPart>& parts,
                               int64_t stretch_floats = kStretchFloats) {
  int64_t floats = 0;
  for (const WinogradPart& part : parts) {
    const int64_t stretch = std::max<int64_t>(stretch_floats / part.tile_floats, kProductTile);
    floats = std::max(floats, part.tile_floats * std::min(stretch, part.tiles()));
  }
  return floats;
}

// The tap of the kernel that point i of a grid's filter is; -1 where the grid has no such tap.
inline int64_t kernel_tap(const Axis& axis, int grid, int i) {
  const int64_t t = axis.dir > 0 ? grid + int64_t{i} * axis.step : int64_t{axis.taps} - 1 - i;
  return t < 0 || t >= axis.taps ? -1 : axis.first_tap + t * axis.tap_step;
}

// U (points, depth, n) of every part, one after another. Each number is rounded once.
inline std::vector<float> winograd_weights(const Step& step, const std::vector<WinogradPart>& parts) {
  std::vector<float> packed;
  const int64_t in_c = step.in.c, out_c = step.out.c;
  for (const WinogradPart& part : parts) {
    const int taps_y = part.y.points - kTileOutputs + 1, taps_x = part.x.points - kTileOutputs + 1;
    const WinogradTransform along_y = winograd_transform(kTileOutputs, taps_y);
    const WinogradTransform along_x = winograd_transform(kTileOutputs, taps_x);
    const int64_t point_floats = part.depth * out_c;
    packed.resize(static_cast<std::size_t>(part.weights + part.points() * point_floats), 0.0f);
    std::vector<double> sums(static_cast<std::size_t>(point_floats));
    for (int p = 0; p < part.points(); ++p) {
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int i = 0; i < taps_y * taps_x; ++i) {
        const double factor =
            along_y.weight[p / part.x.points][i / taps_x] * along_x.weight[p % part.x.points][i % taps_x];
        if (factor == 0.0) continue;
        for (int grid = 0; grid < part.y.grids * part.x.grids; ++grid) {
          const int64_t tap_y = kernel_tap(part.phase.y, grid / part.x.grids, i / taps_x);
          const int64_t tap_x = kernel_tap(part.phase.x, grid % part.x.grids, i % taps_x);
          if (tap_y < 0 || tap_x < 0) continue;
          for (int64_t n = 0; n < out_c; ++n) {
            const float* from =
                step.weight + ((n * step.kernel_h + tap_y) * step.kernel_w + tap_x) * in_c;
            double* to = &sums[static_cast<std::size_t>(grid * in_c * out_c + n)];
            for (int64_t c = 0; c < in_c; ++c) to[c * out_c] += factor * double{from[c]};
          }
        }
      }
      std::copy(sums.begin(), sums.end(),
                packed.begin() + static_cast<std::ptrdiff_t>(part.weights + p * point_floats));
    }
  }
  return packed;
}

}  // namespace facegen::cuda::algorithms
