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
// V and M lie in memory, 16 numbers each for 4 of the map. Both are written once; M is read once, V once for
// every 64 of the N columns, as product.h's tiles do: with up to 64, some 64 (C + N) bytes each way for a
// tile's 32 C N operations, which is what bounds the gain where C or N is small. (A kernel that keeps V and M
// in shared memory avoids that, and is no longer short.) U is made once, on the host, in double.
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

enum class Transform { kInput, kOutput };

// A number of the matrix of an axis of so many points: of B or A. The compiler knows it, since the loops that
// ask for it are unrolled, and leaves out zeros.
template <Transform kOf, int kPoints>
FACEGEN_DEVICE inline float entry(int i, int j) {
  constexpr WinogradTransform matrices = winograd_transform(kTileOutputs, kPoints - kTileOutputs + 1);
  return static_cast<float>(kOf == Transform::kInput ? matrices.input[i][j] : matrices.output[i][j]);
}

// V of one patch, B d B^T, or the outputs of one tile, A m A^T: along y, then along x.
template <Transform kOf, int kY, int kX, int kMadeY, int kMadeX>
FACEGEN_DEVICE inline void transform(const float (&from)[kY][kX], float (&made)[kMadeY][kMadeX]) {
  float lines[kMadeY][kX] = {};
  FACEGEN_DEVICE_UNROLL
  for (int p = 0; p < kMadeY; ++p) {
    FACEGEN_DEVICE_UNROLL
    for (int j = 0; j < kX; ++j) {
      FACEGEN_DEVICE_UNROLL
      for (int i = 0; i < kY; ++i) {
        const float factor = entry<kOf, kY>(p, i);
        if (factor != 0.0f) lines[p][j] = fmaf(factor, from[i][j], lines[p][j]);
      }
    }
  }
  FACEGEN_DEVICE_UNROLL
  for (int p = 0; p < kMadeY; ++p) {
    FACEGEN_DEVICE_UNROLL
    for (int q = 0; q < kMadeX; ++q) {
      made[p][q] = 0.0f;
      FACEGEN_DEVICE_UNROLL
      for (int j = 0; j < kX; ++j) {
        const float factor = entry<kOf, kX>(q, j);
        if (factor != 0.0f) made[p][q] = fmaf(factor, lines[p][j], made[p][q]);
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
  static constexpr const char* kName = "Winograd's transform of inputs";
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
    transform<Transform::kInput>(d, points);
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
  static constexpr const char* kName = "Winograd's transform of outputs";
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
    transform<Transform::kOutput>(points, sums);
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

class Winograd {
 public:
  // `stretch_floats`: of scratch memory, about, for an image.
  explicit Winograd(const Step& step, int64_t stretch_floats = kStretchFloats)
      : layer_(step), parts_(winograd_parts(layer_)), scratch_floats_(winograd_floats(parts_, stretch_floats)) {}

  std::vector<float> weights(const Step& step) const { return winograd_weights(step, parts_); }
  int64_t scratch_floats() const { return scratch_floats_; }

  template <class Executor, class Store>
  void run(const Executor& executor, const float* weights, const Map& in, int64_t images, float* scratch,
           const Store& store) const {
    for (int64_t first = 0; first < images; first += kScratchImages) {
      const int64_t some = std::min(images - first, kScratchImages);
      for (const WinogradPart& part : parts_) {
        const int64_t all = some * part.tiles();
        const int64_t most = some * scratch_floats_ / part.tile_floats;
        for (int64_t tile = 0; tile < all; tile += most) {
          const WinogradStretch at = {part.phase, part.y, part.x, first, tile, std::min(most, all - tile)};
          run_stretch(executor, part, at, weights + part.weights, in, scratch, store);
        }
      }
    }
  }

 private:
  template <class Executor, class Store>
  void run_stretch(const Executor& executor, const WinogradPart& part, const WinogradStretch& at,
                   const float* u, const Map& in, float* v, const Store& store) const {
    float* const m = v + part.points() * at.tiles * part.depth;
    const int32_t out_c = layer_.out_c;
    with_points(part, [&](auto points_y, auto points_x) {
      constexpr int kY = decltype(points_y)::value, kX = decltype(points_x)::value;
      executor.each(at.tiles * part.depth, WinogradInput<kY, kX>{at, in, v, part.depth});
      run_product(executor,
                  Product<StorePoints>{v, u, at.tiles, part.depth, out_c, {m, at.tiles, out_c}},
                  part.points());
      executor.each(at.tiles * out_c, WinogradOutput<kY, kX, Store>{at, m, out_c, layer_.out_w, store});
    });
  }

  Convolution layer_;
  std::vector<WinogradPart> parts_;
  int64_t scratch_floats_;
};

}  // namespace facegen::cuda::algorithms
