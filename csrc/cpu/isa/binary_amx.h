// Products of signs on the AMX unit: 16 x 16 sums of 64 products of bytes an instruction, 16,384 products
// in 16 cycles. A vector of bits does 512 in 1.5 (isa/binary_words.h): AMX's bytes are 3 times as fast,
// although 7 of 8 bits are of no use.
//
// A row of A has a byte of 0 (positive) or 1 (negative) a sign, a column of B a byte of +1 or -1. The sum of
// their products counts the negative signs of A that meet positive ones, less those that meet negative ones:
//
//   sum a b  =  differing - (how many signs of the column are negative)
//
//   panel of B     32 int32 of those numbers, then for each 64 signs two tiles: 16 sign quads x 16
//                  columns x 4, 1 KiB each
//
// Tile budget (8): 2 x 2 of sums, 2 of A, 2 of B. A step has 4 products of 16 cycles and 4 loads of 8.
#pragma once

#include "cpu/binary_kernels.h"
#include "isa/amx_unit.h"

namespace {

using facegen::cpu::BinaryKernels;
using facegen::cpu::BinaryProduct;

namespace binary_amx {

constexpr int kColumns = 2 * kTile;
constexpr int kMostRows = 2 * kTile;
constexpr int kHeader = 4 * kColumns;
constexpr int kStepBytes = 2 * kTileBytes;  // of B

inline int64_t steps_of(int64_t row_bytes) { return (row_bytes + kTileRow - 1) / kTileRow; }

int64_t pixel_bytes(int channels) { return channels; }

int64_t panel_bytes(int64_t row_bytes) { return kHeader + steps_of(row_bytes) * kStepBytes; }

// Rows of A, filled up to whole tiles; and their sums.
constexpr int kSumBytes = 4 * kMostRows * kColumns;
int64_t scratch_bytes(int64_t row_bytes) {
  return kSumBytes + steps_of(row_bytes) * kTileRow * kMostRows;
}

void encode(const float* in, int channels, uint8_t* codes) {
  for (int c = 0; c < channels; ++c) codes[c] = in[c] < 0.0f;
}

void pack(const uint8_t* codes, int64_t row_bytes, int columns, uint8_t* panel) {
  auto* negative = reinterpret_cast<int32_t*>(panel);
  auto* tiles = reinterpret_cast<int8_t*>(panel + kHeader);
  for (int64_t i = 0; i < steps_of(row_bytes) * kStepBytes; ++i) tiles[i] = 0;
  for (int n = 0; n < kColumns; ++n) {
    negative[n] = 0;
    int8_t* const to = tiles + n / kTile * kTileBytes + n % kTile * 4;
    for (int64_t k = 0; n < columns && k < row_bytes; ++k) {
      const int code = codes[n * row_bytes + k];
      negative[n] += code;
      to[k / kTileRow * kStepBytes + k % kTileRow / 4 * kTileRow + k % 4] =
          static_cast<int8_t>(1 - 2 * code);
    }
  }
}

void multiply(const BinaryProduct& p) {
  const int64_t steps = steps_of(p.row_bytes), row = steps * kTileRow;
  auto* const sums = reinterpret_cast<int32_t*>(p.scratch);  // (kMostRows, kColumns)
  uint8_t* const a = p.scratch + kSumBytes;                  // (kMostRows, row)
  for (int r = 0; r < kMostRows; ++r) {
    const int64_t filled = r < p.rows ? p.row_bytes : 0;
    if (filled > 0) __builtin_memcpy(a + r * row, p.codes + r * p.row_bytes, filled);
    __builtin_memset(a + r * row + filled, 0, row - filled);
  }
  begin_task();
  for (int panel = 0; panel < p.panels; ++panel) {
    const uint8_t* weights = p.weights + panel * panel_bytes(p.row_bytes);
    const uint8_t* b = weights + kHeader;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t k = 0; k < steps; ++k, b += kStepBytes) {
      _tile_loadd(4, a + k * kTileRow, row);
      _tile_loadd(5, a + kTile * row + k * kTileRow, row);
      _tile_stream_loadd(6, b, kTileRow);
      _tile_stream_loadd(7, b + kTileBytes, kTileRow);
      _tile_dpbssd(0, 4, 6);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbssd(2, 5, 6);
      _tile_dpbssd(3, 5, 7);
    }
    constexpr int kSumRow = 4 * kColumns;
    _tile_stored(0, sums, kSumRow);
    _tile_stored(1, sums + kTile, kSumRow);
    _tile_stored(2, sums + kTile * kColumns, kSumRow);
    _tile_stored(3, sums + kTile * kColumns + kTile, kSumRow);
    const auto* negative = reinterpret_cast<const int32_t*>(weights);
    for (int r = 0; r < p.rows; ++r) {
      float* out = p.sums + (int64_t{r} * p.panels + panel) * kColumns;
      for (int n = 0; n < kColumns; ++n) {
        const int32_t differing = sums[r * kColumns + n] + negative[n];
        out[n] = static_cast<float>(p.signs[r] - 2 * differing);
      }
    }
  }
  end_task();
}

constexpr BinaryKernels kKernels = {
    "bytes", kColumns, kMostRows, pixel_bytes, panel_bytes, scratch_bytes, encode, pack, multiply};

}  // namespace binary_amx
}  // namespace
