// Winograd's convolution, F(2 x 2): tiles of 2 x 2 outputs with fewer multiplications than their
// definition has.
//
// 2 neighbouring outputs of a filter of r taps need not 2 r products but r + 1 (Winograd 1980; Lavin & Gray
// 2016), one a point; winograd_transform.h has the matrices. With 3 taps:
//
//   v0 = d2 - d0    u0 = -g0                    y0 = m0 + m1 + m2
//   v1 = d1 + d2    u1 = (g0 + g1 + g2) / 2     y1 = m1 - m2 + m3
//   v2 = d2 - d1    u2 = (g0 - g1 + g2) / 2
//   v3 = d3 - d1    u3 = g2                     where m = u * v
//
// On both axes at once a tile of a 3x3 filter takes 4 x 4 = 16 products a pair of channels for 36, one of a
// 5x5 filter 36 for 100. The products are summed over the channels first, so each point is a product of
// matrices, and a stretch of tiles is three launches:
//
//   input, 4 x 4 a tile and channel     V (points, tiles, C)      a thread: the patch of a tile, a channel
//   16 products (product.h)             M (points, tiles, N)   =  V[point] * U[point] (C, N)
//   output, 2 x 2 a tile and channel    y                         a thread: a tile, a channel
//
// V and M lie in memory, 16 numbers each for 4 of the map, and are written and read once: some 64 (C + N)
// bytes each way for a tile's 32 C N operations, which is what bounds the gain where C or N is small. (A
// kernel that keeps V and M in shared memory avoids that, and is no longer short.) U is made once, on the
// host, in double.
//
// A convolution of stride s is a sum of s * s convolutions of stride 1, each over its own grid of the input
// (winograd_plan.h): they share outputs, so they are more channels of the same products. A transposed one has
// a part for each phase.
//
// Errors: the transforms add up inputs before, and products after, up to 2.7 times the magnitudes on an axis
// of 3 taps, 6.7 of 5 (tests/native/tolerance.h). A value that is not finite reaches the whole tiles of the
// outputs that read it.
#pragma once

#include <type_traits>

#include "cuda/algorithms/winograd_plan.h"
#include "cuda/tensor.h"

namespace facegen::cuda::algorithms {

// V of one patch: B d B^T. The matrices are known to the compiler, and zeros are left out.
template <int kY, int kX>
FACEGEN_DEVICE inline void transform_input(const float (&d)[kY][kX], float (&v)[kY][kX]) {
  constexpr WinogradTransform along_y = winograd_transform(kTileOutputs, kY - kTileOutputs + 1);
  constexpr WinogradTransform along_x = winograd_transform(kTileOutputs, kX - kTileOutputs + 1);
  float lines[kY][kX] = {};
  FACEGEN_DEVICE_UNROLL
  for (int i = 0; i < kY; ++i) {
    FACEGEN_DEVICE_UNROLL
    for (int q = 0; q < kX; ++q) {
      FACEGEN_DEVICE_UNROLL
      for (int j = 0; j < kX; ++j) {
        const auto factor = static_cast<float>(along_x.input[q][j]);
        if (factor != 0.0f) lines[i][q] = fmaf(factor, d[i][j], lines[i][q]);
      }
    }
  }
  FACEGEN_DEVICE_UNROLL
  for (int p = 0; p < kY; ++p) {
    FACEGEN_DEVICE_UNROLL
    for (int q = 0; q < kX; ++q) {
      v[p][q] = 0.0f;
      FACEGEN_DEVICE_UNROLL
      for (int i = 0; i < kY; ++i) {
        const auto factor = static_cast<float>(along_y.input[p][i]);
        if (factor != 0.0f) v[p][q] = fmaf(factor, lines[i][q], v[p][q]);
      }
    }
  }
}

// The outputs of one tile: A m A^T.
template <int kY, int kX>
FACEGEN_DEVICE inline void transform_output(const float (&m)[kY][kX],
                                            float (&y)[kTileOutputs][kTileOutputs]) {
  constexpr WinogradTransform along_y = winograd_transform(kTileOutputs, kY - kTileOutputs + 1);
  constexpr WinogradTransform along_x = winograd_transform(kTileOutputs, kX - kTileOutputs + 1);
  float lines[kTileOutputs][kX] = {};
  FACEGEN_DEVICE_UNROLL
  for (int i = 0; i < kTileOutputs; ++i) {
    FACEGEN_DEVICE_UNROLL
    for (int q = 0; q < kX; ++q) {
      FACEGEN_DEVICE_UNROLL
      for (int p = 0; p < kY; ++p) {
        const auto factor = static_cast<float>(along_y.output[i][p]);
        if (factor != 0.0f) lines[i][q] = fmaf(factor, m[p][q], lines[i][q]);
      }
    }
  }
  FACEGEN_DEVICE_UNROLL
  for (int i = 0; i < kTileOutputs; ++i) {
    FACEGEN_DEVICE_UNROLL
    for (int j = 0; j < kTileOutputs; ++j) {
      y[i][j] = 0.0f;
      FACEGEN_DEVICE_UNROLL
      for (int q = 0; q < kX; ++q) {
        const auto factor = static_cast<float>(along_x.output[j][q]);
        if (factor != 0.0f) y[i][j] = fmaf(factor, lines[i][q], y[i][j]);
      }
    }
  }
}

// A stretch of a part's tiles: those of an image row by row, then the next image's.
struct WinogradStretch {
  Phase phase;
  WinogradAxis y, x;
  int64_t first_image, first_tile, tiles;

  // The first output of a tile.
  FACEGEN_DEVICE Place first_output(int64_t tile) const {
    const int64_t row = quotient(first_tile + tile, x.tiles), image = quotient(row, y.tiles);
    return {first_image + image, y.first_output(row - image * y.tiles),
            x.first_output(first_tile + tile - row * x.tiles)};
  }
};

template <int kY, int kX>
struct WinogradInput {
  WinogradStretch at;
  Map in;
  float* v;  // (points, tiles, depth)
  int64_t depth;

  FACEGEN_DEVICE void operator()(int64_t i) const {
    const int64_t tile = quotient(i, depth), k = i - tile * depth;
    const int64_t grid = quotient(k, in.c), grid_y = quotient(grid, at.x.grids);
    const Place o = at.first_output(tile);
    const float* channel = in.data + o.image * in.image_stride + k - grid * in.c;
    float d[kY][kX], points[kY][kX];
    FACEGEN_DEVICE_UNROLL
    for (int p = 0; p < kY; ++p) {
      const int64_t iy = at.y.position(o.y, static_cast<int32_t>(grid_y), p);
      FACEGEN_DEVICE_UNROLL
      for (int q = 0; q < kX; ++q) {
        const auto grid_x = static_cast<int32_t>(grid - grid_y * at.x.grids);
        const int64_t ix = at.x.position(o.x, grid_x, q);
        const bool inside = is_inside(iy, in.h) && is_inside(ix, in.w);
        d[p][q] = inside ? channel[(iy * in.w + ix) * in.pixel_stride] : 0.0f;
      }
    }
    transform_input(d, points);
    FACEGEN_DEVICE_UNROLL
    for (int p = 0; p < kY * kX; ++p) v[p * at.tiles * depth + i] = points[p / kX][p % kX];
  }
};

// A row of the products is a tile.
struct StorePoints {
  float* m;  // (points, tiles, n)
  int64_t tiles, out_c;

  FACEGEN_DEVICE void operator()(int64_t point, int64_t tile, int n, float sum) const {
    m[(point * tiles + tile) * out_c + n] = sum;
  }
};

template <int kY, int kX, class Store>
struct WinogradOutput {
  WinogradStretch at;
  const float* m;  // (points, tiles, n)
  int32_t out_c, out_w;
  Store store;

  FACEGEN_DEVICE void operator()(int64_t i) const {
    const int64_t tile = quotient(i, out_c);
    const Place o = at.first_output(tile);
    float points[kY][kX], sums[kTileOutputs][kTileOutputs];
    FACEGEN_DEVICE_UNROLL
    for (int p = 0; p < kY * kX; ++p) points[p / kX][p % kX] = m[p * at.tiles * out_c + i];
    transform_output(points, sums);
    FACEGEN_DEVICE_UNROLL
    for (int p = 0; p < kTileOutputs; ++p) {
      FACEGEN_DEVICE_UNROLL
      for (int q = 0; q < kTileOutputs; ++q) {
        const int64_t oy = o.y + int64_t{p} * at.y.gap, ox = o.x + int64_t{q} * at.x.gap;
        if (oy >= at.y.out || ox >= at.x.out) continue;
        store(o.image, pixel_of(at.phase, oy, ox, out_w), static_cast<int>(i - tile * out_c), sums[p][q]);
      }
    }
  }
};

// The launches of a part whose tiles have kY x kX points, after finding these among 3 to 6.
template <int kY = 3, int kX = 3, class Launch>
void with_points(const WinogradPart& part, const Launch& launch) {
  if constexpr (kY < kWinogradPoints) {
    if (part.y.points > kY) return with_points<kY + 1, kX>(part, launch);
  }
  if constexpr (kX < kWinogradPoints) {
    if (part.x.points > kX) return with_points<kY, kX + 1>(part, launch);
  }
  launch(std::integral_constant<int, kY>(), std::integral_constant<int, kX>());
}

// `weights`: winograd_weights'. `scratch`: `scratch_floats`, which are winograd_floats, of each of the first
// kScratchImages images.
template <class Executor, class Store>
void run_winograd(const Executor& executor, const Convolution& layer,
                  const std::vector<WinogradPart>& parts, const float* weights, const Map& in,
                  int64_t images, float* scratch, int64_t scratch_floats, const Store& store) {
  for (int64_t first = 0; first < images; first += kScratchImages) {
    const int64_t some = std::min(images - first, kScratchImages);
    for (const WinogradPart& part : parts) {
      const int64_t all = some * part.tiles();
      const int64_t most = some * scratch_floats / part.tile_floats;
      for (int64_t tile = 0; tile < all; tile += most) {
        const WinogradStretch at = {part.phase, part.y, part.x, first, tile, std::min(most, all - tile)};
        float* const v = scratch;
        float* const m = v + part.points() * at.tiles * part.depth;
        with_points(part, [&](auto points_y, auto points_x) {
          constexpr int kY = decltype(points_y)::value, kX = decltype(points_x)::value;
          executor.each(at.tiles * part.depth, WinogradInput<kY, kX>{at, in, v, part.depth});
          run_product(executor,
                      Product<StorePoints>{v, weights + part.weights, at.tiles, part.depth,
                                           layer.out_c, {m, at.tiles, layer.out_c}},
                      part.points());
          executor.each(at.tiles * layer.out_c,
                        WinogradOutput<kY, kX, Store>{at, m, layer.out_c, layer.out_w, store});
        });
      }
    }
  }
}

}  // namespace facegen::cuda::algorithms
