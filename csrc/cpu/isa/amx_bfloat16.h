// The GEMM micro-kernel on AMX for precision "bfloat16": operands rounded to bfloat16, sums in float32.
//
//   row panel      (row tile, step): 16 rows x 32 channels               1 KiB each
//   weight panel             (step): 16 channel pairs x 16 columns x 2   1 KiB each
//
// Tile budget (8): 2 x 2 sums, 2 row tiles, 2 column tiles: 4 loads of 8 cycles a step hide behind 4
// products of 16. What does not hide is C, so its tiles are loaded into the registers, added to,
// and stored, and stretches are long. At kMostDepth a row panel is 32 KiB, in L1, while weights
// stream from L2.
//
// The same interface as gemm_tile.h; as there, the sum of one row depends on that row alone.
#pragma once

#include "cpu/kernels.h"
#include "isa/amx_unit.h"
#include "isa/vec.h"

namespace {
namespace bfloat16 {

using facegen::cpu::Stretch;
using facegen::cpu::WeightSource;

constexpr int kMostDepth = 512;
constexpr int kStep = 32;  // channels of one tile product
constexpr int kTileRows = 2 * kTile;
constexpr int kPanelColumns = kTile;

int steps_of(int depth) { return (depth + kStep - 1) / kStep; }
int64_t row_panel_bytes(int depth) { return int64_t{2} * steps_of(depth) * kTileBytes; }
int64_t weight_panel_bytes(int depth) { return int64_t{1} * steps_of(depth) * kTileBytes; }

inline void store_step(const float* in, void* out) {
  const auto rounded = _mm512_cvtne2ps_pbh(load(in + kLanes), load(in));
  __builtin_memcpy(out, &rounded, sizeof rounded);
}

void gather(const float* const* sources, int64_t source_stride, int rows, Stretch stretch,
            const float*, void* panel) {
  const int steps = steps_of(stretch.depth());
  const bool whole_steps = stretch.channels % kStep == 0;
  const int tap_steps = stretch.channels / kStep;
  for (int r = 0; r < rows; ++r) {
    char* out = static_cast<char*>(panel) + int64_t{r / kTile} * steps * kTileBytes +
                r % kTile * kTileRow;
    if (whole_steps) {
      for (int t = 0; t < stretch.taps; ++t) {
        const float* in = sources[t * source_stride + r];
        for (int s = 0; s < tap_steps; ++s, out += kTileBytes) store_step(in + s * kStep, out);
      }
      continue;
    }
    alignas(64) float line[kMostDepth + kStep];
    for (int t = 0; t < stretch.taps; ++t) {
      const float* in = sources[t * source_stride + r];
      for_each_vector(stretch.channels, [&](int i, auto get, auto put) {
        put(line + t * stretch.channels + i, get(in + i));
      });
    }
    for (int i = stretch.depth(); i < steps * kStep; ++i) line[i] = 0;
    for (int s = 0; s < steps; ++s, out += kTileBytes) store_step(line + s * kStep, out);
  }
}

void pack(const WeightSource& source, Stretch stretch, void* panels) {
  const int steps = steps_of(stretch.depth());
  char* out = static_cast<char*>(panels);
  for (int first = 0; first < source.columns; first += kTile) {
    for (int s = 0; s < steps; ++s) {
      for (int pair = 0; pair < kStep / 2; ++pair, out += kTileRow) {
        alignas(64) float line[kTile * 2] = {};  // (column, channel of the pair)
        for (int i = 0; i < 2; ++i) {
          const int k = s * kStep + pair * 2 + i;
          if (k >= stretch.depth()) continue;
          const float* from = source.weight + source.tap_offset[k / stretch.channels] +
                              k % stretch.channels * source.channel_stride;
          for (int column = 0; column < kTile && first + column < source.columns; ++column) {
            line[column * 2 + i] = from[(first + column) * source.column_stride];
          }
        }
        store_step(line, out);
      }
    }
  }
}

// Where the sums of R x C tiles begin and end: 16 rows equally far apart, in C itself or a copy.
struct Place {
  float* first;
  int64_t row_bytes;
};

// Tile numbers are immediates, so they are written out; R row tiles by C column tiles.
template <int R, int C>
inline void products(const char* a, const char* b, int steps, const Place (&c)[2], bool accumulate) {
  const int64_t tile_bytes = int64_t{1} * steps * kTileBytes;  // from a row or column tile to the next
  if (accumulate) {
    _tile_loadd(0, c[0].first, c[0].row_bytes);
    if constexpr (C > 1) _tile_loadd(1, c[0].first + kTile, c[0].row_bytes);
    if constexpr (R > 1) _tile_loadd(2, c[1].first, c[1].row_bytes);
    if constexpr (R > 1 && C > 1) _tile_loadd(3, c[1].first + kTile, c[1].row_bytes);
  } else {
    _tile_zero(0);
    if constexpr (C > 1) _tile_zero(1);
    if constexpr (R > 1) _tile_zero(2);
    if constexpr (R > 1 && C > 1) _tile_zero(3);
  }
  for (int s = 0; s < steps; ++s, a += kTileBytes, b += kTileBytes) {
    _tile_loadd(4, a, kTileRow);
    _tile_stream_loadd(6, b, kTileRow);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (C > 1) _tile_stream_loadd(7, b + tile_bytes, kTileRow);
    if constexpr (C > 1) _tile_dpbf16ps(1, 4, 7);
    if constexpr (R > 1) _tile_loadd(5, a + tile_bytes, kTileRow);
    if constexpr (R > 1) _tile_dpbf16ps(2, 5, 6);
    if constexpr (R > 1 && C > 1) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c[0].first, c[0].row_bytes);
  if constexpr (C > 1) _tile_stored(1, c[0].first + kTile, c[0].row_bytes);
  if constexpr (R > 1) _tile_stored(2, c[1].first, c[1].row_bytes);
  if constexpr (R > 1 && C > 1) _tile_stored(3, c[1].first + kTile, c[1].row_bytes);
}

// The rows of one tile of C. Those at odd distances, or fewer than a tile has, are copied.
class TileOfC {
 public:
  TileOfC(int rows, float* const* c) : rows_(rows), c_(c) {
    apart_ = rows == kTile ? c[1] - c[0] : 0;
    for (int r = 1; r < rows && apart_ != 0; ++r) {
      if (c[r] - c[r - 1] != apart_) apart_ = 0;
    }
  }
  Place load_columns(int64_t column, int columns, bool accumulate) {
    if (apart_ != 0) return {c_[0] + column, apart_ * 4};
    for (int r = 0; accumulate && r < rows_; ++r) {
      __builtin_memcpy(copy_[r], c_[r] + column, static_cast<decltype(sizeof 0)>(columns) * 4);
    }
    return {copy_[0], sizeof copy_[0]};
  }
  void store_columns(int64_t column, int columns) const {
    for (int r = 0; apart_ == 0 && r < rows_; ++r) {
      __builtin_memcpy(c_[r] + column, copy_[r], static_cast<decltype(sizeof 0)>(columns) * 4);
    }
  }

 private:
  int rows_;
  float* const* c_;
  int64_t apart_;  // floats from a row to the next; 0 where they have to be copied
  alignas(64) float copy_[kTile][2 * kTile] = {};
};

template <int R, int C>
void multiply_tiles(const char* a, const char* b, int steps, TileOfC (&c)[2], int64_t column,
                    bool accumulate) {
  Place places[2] = {c[0].load_columns(column, C * kTile, accumulate), {}};
  if constexpr (R > 1) places[1] = c[1].load_columns(column, C * kTile, accumulate);
  products<R, C>(a, b, steps, places, accumulate);
  c[0].store_columns(column, C * kTile);
  if constexpr (R > 1) c[1].store_columns(column, C * kTile);
}

void multiply(int rows, int depth, const void* panel, const void* weights, int panels,
              float* const* c, bool accumulate) {
  const int steps = steps_of(depth);
  const char* a = static_cast<const char*>(panel);
  const char* b = static_cast<const char*>(weights);
  const bool tall = rows > kTile;
  TileOfC tiles[2] = {{tall ? kTile : rows, c}, {tall ? rows - kTile : 0, c + kTile}};
  for (int p = 0; p < panels; p += 2, b += int64_t{2} * steps * kTileBytes) {
    const auto run = panels - p == 1 ? (tall ? multiply_tiles<2, 1> : multiply_tiles<1, 1>)
                                     : (tall ? multiply_tiles<2, 2> : multiply_tiles<1, 2>);
    run(a, b, steps, tiles, int64_t{p} * kTile, accumulate);
  }
}

}  // namespace bfloat16
}  // namespace
