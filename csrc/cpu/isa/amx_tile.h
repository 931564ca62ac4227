// The GEMM micro-kernel on AMX: float32 products from three bfloat16 products.
//
// A float32 x is split into hi = bf16(x) and lo = bf16(x - hi); together they hold 16 bits of its
// significand, and   a * b  ~  a_hi * b_hi + a_hi * b_lo + a_lo * b_hi,   summed in float32
// (the error-corrected splitting of Ootomo & Yokota 2022, with bfloat16 for its range). What is
// left out is below 2^-15 of each product, 4e-6 rms. One TDPBF16PS does 8192 multiply-adds in 16
// cycles, so three of them are still 5 times as fast as AVX-512's FMAs. At the ends of the range
// float32 is more than this: values that round to infinity in bfloat16 (from 3.396e38) become NaN,
// and AMX takes subnormal halves as zero, which costs accuracy below about 1e-33.
//
// A tile register holds 16 rows of 64 bytes. One step of the reduction takes 32 channels:
//
//   row panel   (row tile, step, hi | lo): 16 rows x 32 bf16          1 KiB each
//   weight panel          (step, hi | lo): 16 channel pairs x 16 columns x 2   1 KiB each
//
// Tile budget (8): 2 x 2 sums, 2 row tiles, 2 column tiles. 8 tile loads of 8 cycles hide behind
// 12 products of 16. A row panel at kMaxDepth is 32 KiB: in L1, while weights stream from L2.
//
// The same interface as gemm_tile.h; as there, the sum of one row depends on that row alone.
#pragma once

#include <immintrin.h>

#include "cpu/kernels.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::kMaxDepth;
using facegen::cpu::Stretch;
using facegen::cpu::WeightSource;

constexpr int kTile = 16;           // rows and columns of a tile of sums
constexpr int kStep = 32;           // channels of one tile product
constexpr int kTileBytes = 1024;
constexpr int kSplitBytes = 2 * kTileBytes;  // hi, then lo
constexpr int kTileRows = 2 * kTile;
constexpr int kPanelColumns = kTile;
constexpr bool kSplitProducts = true;

int steps_of(int depth) { return (depth + kStep - 1) / kStep; }
int64_t row_panel_bytes(int depth) { return int64_t{2} * steps_of(depth) * kSplitBytes; }
int64_t weight_panel_bytes(int depth) { return int64_t{1} * steps_of(depth) * kSplitBytes; }

// Tiles 0-3: sums, 4-5: rows of A, 6-7: columns of B; all 16 rows of 64 bytes.
void begin_task() {
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static_assert(sizeof(Config) == 64);
  // The configuration is in static storage: of the 64 bytes that are read of it, GCC 12 tells the
  // optimiser of only 8.
  static constexpr Config config;
  _tile_loadconfig(&config);
}

void end_task() { _tile_release(); }

// The floats that 16 bf16 stand for.
inline Vec widen(const uint16_t* half) {
  typedef uint16_t Half __attribute__((vector_size(32)));
  typedef uint32_t Bits __attribute__((vector_size(64)));
  Half h;
  __builtin_memcpy(&h, half, sizeof h);
  const Bits bits = __builtin_convertvector(h, Bits) << 16;
  Vec result;
  __builtin_memcpy(&result, &bits, sizeof result);
  return result;
}

// Splits 32 floats and stores 32 bf16 of each half.
inline void split(const float* in, void* hi, void* lo) {
  const Vec x0 = load(in), x1 = load(in + kLanes);
  const auto h = _mm512_cvtne2ps_pbh(x1, x0);
  alignas(64) uint16_t halves[kStep];
  __builtin_memcpy(halves, &h, sizeof halves);
  __builtin_memcpy(hi, &h, sizeof h);
  const auto l = _mm512_cvtne2ps_pbh(x1 - widen(halves + kLanes), x0 - widen(halves));
  __builtin_memcpy(lo, &l, sizeof l);
}

void gather(const float* const* sources, int64_t source_stride, int rows, Stretch stretch,
            void* panel) {
  const int steps = steps_of(stretch.depth());
  const bool whole_steps = stretch.channels % kStep == 0;
  const int tap_steps = stretch.channels / kStep;
  for (int r = 0; r < rows; ++r) {
    char* out = static_cast<char*>(panel) + int64_t{r / kTile} * steps * kSplitBytes +
                r % kTile * 64;
    if (whole_steps) {
      for (int t = 0; t < stretch.taps; ++t) {
        const float* in = sources[t * source_stride + r];
        for (int s = 0; s < tap_steps; ++s, out += kSplitBytes) {
          split(in + s * kStep, out, out + kTileBytes);
        }
      }
      continue;
    }
    alignas(64) float line[kMaxDepth + kStep] = {};  // the rest of the last step stays zero
    for (int t = 0; t < stretch.taps; ++t) {
      __builtin_memcpy(line + t * stretch.channels, sources[t * source_stride + r],
                       static_cast<decltype(sizeof 0)>(stretch.channels) * 4);
    }
    for (int s = 0; s < steps; ++s, out += kSplitBytes) {
      split(line + s * kStep, out, out + kTileBytes);
    }
  }
}

void pack(const WeightSource& source, Stretch stretch, void* panels) {
  const int steps = steps_of(stretch.depth());
  char* out = static_cast<char*>(panels);
  for (int first = 0; first < source.columns; first += kTile) {
    for (int s = 0; s < steps; ++s, out += kSplitBytes) {
      for (int pair = 0; pair < kStep / 2; ++pair) {
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
        split(line, out + pair * 64, out + kTileBytes + pair * 64);
      }
    }
  }
}

// Tile numbers are immediates, so a macro names them; R row tiles by C column tiles.
template <int R, int C>
inline void products(const char* a, int64_t a_tile, const char* b, int64_t b_panel, int steps) {
  _tile_zero(0);
  if constexpr (C > 1) _tile_zero(1);
  if constexpr (R > 1) _tile_zero(2);
  if constexpr (R > 1 && C > 1) _tile_zero(3);
#define FACEGEN_PRODUCTS()                                    \
  do {                                                        \
    _tile_dpbf16ps(0, 4, 6);                                  \
    if constexpr (C > 1) _tile_dpbf16ps(1, 4, 7);             \
    if constexpr (R > 1) _tile_dpbf16ps(2, 5, 6);             \
    if constexpr (R > 1 && C > 1) _tile_dpbf16ps(3, 5, 7);    \
  } while (false)
  for (int s = 0; s < steps; ++s, a += kSplitBytes, b += kSplitBytes) {
    _tile_loadd(4, a, 64);
    if constexpr (R > 1) _tile_loadd(5, a + a_tile, 64);
    _tile_loadd(6, b + kTileBytes, 64);
    if constexpr (C > 1) _tile_loadd(7, b + b_panel + kTileBytes, 64);
    FACEGEN_PRODUCTS();  // a_hi * b_lo
    _tile_loadd(6, b, 64);
    if constexpr (C > 1) _tile_loadd(7, b + b_panel, 64);
    FACEGEN_PRODUCTS();  // a_hi * b_hi
    _tile_loadd(4, a + kTileBytes, 64);
    if constexpr (R > 1) _tile_loadd(5, a + a_tile + kTileBytes, 64);
    FACEGEN_PRODUCTS();  // a_lo * b_hi
  }
#undef FACEGEN_PRODUCTS
}

template <int R, int C>
void tile(int rows, int steps, const char* a, const char* b, float* const* c, bool accumulate) {
  products<R, C>(a, int64_t{1} * steps * kSplitBytes, b, int64_t{1} * steps * kSplitBytes, steps);
  alignas(64) float sums[R * kTile][C * kTile];
  constexpr int kStride = C * kTile * 4;
  _tile_stored(0, &sums[0][0], kStride);
  if constexpr (C > 1) _tile_stored(1, &sums[0][kTile], kStride);
  if constexpr (R > 1) _tile_stored(2, &sums[kTile][0], kStride);
  if constexpr (R > 1 && C > 1) _tile_stored(3, &sums[kTile][kTile], kStride);
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < C; ++v) {
      float* out = c[r] + v * kTile;
      const Vec sum = load(&sums[r][v * kTile]);
      store(out, accumulate ? load(out) + sum : sum);
    }
  }
}

void multiply(int rows, int depth, const void* panel, const void* weights, int panels,
              float* const* c, bool accumulate) {
  const int steps = steps_of(depth);
  const char* a = static_cast<const char*>(panel);
  const char* b = static_cast<const char*>(weights);
  float* moved[kTileRows];
  for (int r = 0; r < rows; ++r) moved[r] = c[r];
  const bool tall = rows > kTile;
  for (; panels > 0; panels -= 2) {
    if (panels == 1) return tall ? tile<2, 1>(rows, steps, a, b, moved, accumulate)
                                 : tile<1, 1>(rows, steps, a, b, moved, accumulate);
    tall ? tile<2, 2>(rows, steps, a, b, moved, accumulate)
         : tile<1, 2>(rows, steps, a, b, moved, accumulate);
    b += int64_t{2} * steps * kSplitBytes;
    for (int r = 0; r < rows; ++r) moved[r] += 2 * kTile;
  }
}

constexpr void (*multiply_rows)(const facegen::cpu::RowsProduct&) = nullptr;

}  // namespace
