// The GEMM micro-kernel on AMX with the accuracy of float32: products of 24-bit fixed-point numbers,
// from six products of 8-bit digits.
//
// A row of A is, within a stretch, scaled by the power of two that takes its largest magnitude just
// below 2^23, and rounded to integers; so is a column of B. An integer has three signed digits,
// q = d0 * 2^16 + d1 * 2^8 + d2, each from -128 to 127, and
//
//   a * b  ~  a0 b0 * 2^32  +  (a0 b1 + a1 b0) * 2^24  +  (a0 b2 + a1 b1 + a2 b0) * 2^16
//
// (the scheme of Ozaki et al. 2012 on an integer unit: Ootomo, Ozaki & Yokota 2024). TDPBSSD sums
// such products exactly in int32, at 64 channels an instruction, so that six take the time of three
// TDPBF16PS. Each of the three sums becomes float32 once a stretch. What is left out, and the
// rounding to 24 bits, is about 3e-8 of the largest products; docs/accuracy.md has the errors.
//
// A fixed point suffers where channels differ in size. Those that do so for all rows do no harm
// where the weights make up for it: the caller scales each channel's weights to a like size
// and A by the inverse, `channel_scale`, powers of two as well (IndirectGemm::scale_channels).
//
//   row panel      32 exponents, then (step, row tile, digit): 16 rows x 64 channels, 1 KiB each
//   weight panel   16 exponents, then (step, digit): 16 channel quads x 16 columns x 4, 1 KiB each
//
// Tile budget (8): 2 row tiles x 3 sums, 1 row tile's digit, 1 of B's. A step has 12 products of 16
// cycles and 15 loads of 8. While a panel's products run, the sums of the panel before it are taken
// from memory and added to C. At kMostDepth a row panel is 24 KiB: in L1, with the sums (12 KiB).
//
// The same interface as gemm_tile.h; as there, the sum of one row depends on that row alone.
#pragma once

#include "cpu/kernels.h"
#include "isa/amx_unit.h"
#include "isa/vec.h"

namespace {
namespace fixed_point {

using facegen::cpu::Stretch;
using facegen::cpu::WeightSource;

constexpr int kMostDepth = 256;
constexpr int kStep = 64;  // channels of one tile product
constexpr int kDigits = 3;
constexpr int kStepBytes = kDigits * kTileBytes;  // of one tile of rows or columns
constexpr int kTileRows = 2 * kTile;
constexpr int kPanelColumns = kTile;
constexpr int kBits = 23;  // of a magnitude
// Signed digits reach from -0x808080 to 0x7f7f7f: what is added to a float's bits so that those
// above 0x7f7f7f / 2^23 of a power of two count as the next one, and the digits' bias.
constexpr int kNextPower = 0x10101, kDigitBias = 0x808080;
static_assert(kMostDepth * 3 * 128 * 128 < 0x7fffffff, "sums of products are exact");

int steps_of(int depth) { return (depth + kStep - 1) / kStep; }
constexpr int kRowHeader = 4 * kTileRows, kWeightHeader = 4 * kPanelColumns;
int64_t row_panel_bytes(int depth) { return kRowHeader + int64_t{2} * steps_of(depth) * kStepBytes; }
int64_t weight_panel_bytes(int depth) {
  return kWeightHeader + int64_t{1} * steps_of(depth) * kStepBytes;
}

inline __m512i bits_of(Vec v) { return _mm512_castps_si512(v); }
inline __m512i magnitude_bits(Vec v) {
  return _mm512_and_si512(bits_of(v), _mm512_set1_epi32(0x7fffffff));
}

// Masks of all lanes: GCC 12 warns of the intrinsics without.
inline __m512i unpacklo_32(__m512i a, __m512i b) {
  return _mm512_maskz_unpacklo_epi32(0xffff, a, b);
}
inline __m512i unpackhi_32(__m512i a, __m512i b) {
  return _mm512_maskz_unpackhi_epi32(0xffff, a, b);
}
inline __m512i unpacklo_64(__m512i a, __m512i b) { return _mm512_maskz_unpacklo_epi64(0xff, a, b); }
inline __m512i unpackhi_64(__m512i a, __m512i b) { return _mm512_maskz_unpackhi_epi64(0xff, a, b); }

inline uint32_t largest(__m512i bits) {
  typedef uint32_t Bits __attribute__((vector_size(64)));
  Bits lanes;
  __builtin_memcpy(&lanes, &bits, sizeof lanes);
  uint32_t result = 0;
  for (int i = 0; i < kLanes; ++i) result = lanes[i] > result ? lanes[i] : result;
  return result;
}

// The e with all magnitudes below 0.996 * 2^e, from the bits of the largest; of infinity and NaN,
// NaN, which will be the sum's exponent.
inline float exponent_of(uint32_t largest_bits) {
  if (largest_bits >= 0x7f800000) return __builtin_nanf("");
  return static_cast<float>(static_cast<int>((largest_bits + kNextPower) >> 23) - 126);
}

// The three digits of 64 floats times 2^shift, `apart` bytes apart. Where a channel stands among the
// 64 bytes is of no account: pack and gather both go through this.
inline void store_digits(const float* in, float shift, char* out, int64_t apart) {
  const Vec shifts = broadcast(shift);
  // of each 4 channels: their digits 0, digits 1, digits 2, and nothing
  const __m512i by_digit = _mm512_maskz_broadcast_i32x4(
      0xffff, _mm_setr_epi8(2, 6, 10, 14, 1, 5, 9, 13, 0, 4, 8, 12, -1, -1, -1, -1));
  const __m512i bias = _mm512_set1_epi32(kDigitBias);
  __m512i q[4];
  for (int i = 0; i < 4; ++i) {
    const Vec scaled = _mm512_maskz_scalef_ps(0xffff, load(in + i * kLanes), shifts);
    const __m512i rounded = _mm512_maskz_cvtps_epi32(0xffff, scaled);
    const __m512i digits = _mm512_xor_si512(_mm512_add_epi32(rounded, bias), bias);
    q[i] = _mm512_shuffle_epi8(digits, by_digit);
  }
  const __m512i low01 = unpacklo_32(q[0], q[1]), low23 = unpacklo_32(q[2], q[3]);
  const __m512i high01 = unpackhi_32(q[0], q[1]);
  const __m512i high23 = unpackhi_32(q[2], q[3]);
  _mm512_storeu_si512(out, unpacklo_64(low01, low23));
  _mm512_storeu_si512(out + apart, unpackhi_64(low01, low23));
  _mm512_storeu_si512(out + 2 * apart, unpacklo_64(high01, high23));
}

void gather(const float* const* sources, int64_t source_stride, int rows, Stretch stretch,
            const float* channel_scale, void* panel) {
  const int depth = stretch.depth(), steps = steps_of(depth);
  float* exponents = static_cast<float*>(panel);
  char* tiles = static_cast<char*>(panel) + kRowHeader;
  alignas(64) float line[kMostDepth + kLanes];
  for (int i = depth; i < steps * kStep; ++i) line[i] = 0;
  for (int r = 0; r < rows; ++r) {
    __m512i most = _mm512_setzero_si512();
    for (int t = 0; t < stretch.taps; ++t) {
      const float* in = sources[t * source_stride + r];
      const int at = t * stretch.channels;
      for_each_vector(stretch.channels, [&](int i, auto get, auto put) {
        const Vec scaled = get(in + i) * get(channel_scale + at + i);
        most = _mm512_maskz_max_epu32(0xffff, most, magnitude_bits(scaled));
        put(line + at + i, scaled);
      });
    }
    exponents[r] = exponent_of(largest(most));
    char* out = tiles + r / kTile * kStepBytes + r % kTile * kTileRow;
    for (int s = 0; s < steps; ++s, out += 2 * kStepBytes) {
      store_digits(line + s * kStep, kBits - exponents[r], out, kTileBytes);
    }
  }
}

void pack(const WeightSource& source, Stretch stretch, void* panels) {
  const int depth = stretch.depth(), steps = steps_of(depth);
  char* panel = static_cast<char*>(panels);
  for (int first = 0; first < source.columns; first += kTile, panel += weight_panel_bytes(depth)) {
    float* exponents = reinterpret_cast<float*>(panel);
    for (int column = 0; column < kTile; ++column) {
      alignas(64) float line[kMostDepth + kStep] = {};
      __m512i most = _mm512_setzero_si512();
      if (first + column < source.columns) {
        for (int k = 0; k < depth; ++k) {
          line[k] = source.weight[(first + column) * source.column_stride +
                                  source.tap_offset[k / stretch.channels] +
                                  k % stretch.channels * source.channel_stride];
          const float scale = source.channel_scale != nullptr ? source.channel_scale[k] : 1.0f;
          if (scale != 0) line[k] /= scale;
        }
        for (int k = 0; k < depth; k += kLanes) {
          most = _mm512_maskz_max_epu32(0xffff, most, magnitude_bits(load(line + k)));
        }
      }
      exponents[column] = exponent_of(largest(most));
      for (int s = 0; s < steps; ++s) {
        alignas(64) char digits[kDigits][kStep];
        store_digits(line + s * kStep, kBits - exponents[column], digits[0], kStep);
        char* out = panel + kWeightHeader + int64_t{s} * kStepBytes + column * 4;
        for (int d = 0; d < kDigits; ++d, out += kTileBytes) {
          for (int quad = 0; quad < kStep / 4; ++quad) {
            __builtin_memcpy(out + quad * kTileRow, digits[d] + quad * 4, 4);
          }
        }
      }
    }
  }
}

// The sums of a panel of products, by their power of two.
struct Sums {
  alignas(64) int32_t of[kTileRows / kTile][kDigits][kTile][kTile];
};

// Multiplies R tiles of rows with a panel of weights; between its products, calls between(step).
template <int R, typename Between>
inline void products(const char* a, const char* b, int steps, Sums& sums, Between between) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  if constexpr (R > 1) {
    _tile_zero(3);
    _tile_zero(4);
    _tile_zero(5);
  }
// Tile numbers are immediates, so a macro names them: digit i of A and the digit of B at hand go to
// the sums of one power of two.
#define FACEGEN_PRODUCTS(i, first_sum, second_sum)                \
  do {                                                            \
    _tile_loadd(6, a + (i) * kTileBytes, kTileRow);               \
    _tile_dpbssd(first_sum, 6, 7);                                \
    if constexpr (R > 1) {                                        \
      _tile_loadd(6, a + kStepBytes + (i) * kTileBytes, kTileRow); \
      _tile_dpbssd(second_sum, 6, 7);                             \
    }                                                             \
  } while (false)
  for (int s = 0; s < steps; ++s, a += 2 * kStepBytes, b += kStepBytes) {
    _tile_stream_loadd(7, b, kTileRow);
    FACEGEN_PRODUCTS(0, 0, 3);
    FACEGEN_PRODUCTS(1, 1, 4);
    FACEGEN_PRODUCTS(2, 2, 5);
    between(2 * s);
    _tile_stream_loadd(7, b + kTileBytes, kTileRow);
    FACEGEN_PRODUCTS(0, 1, 4);
    FACEGEN_PRODUCTS(1, 2, 5);
    _tile_stream_loadd(7, b + 2 * kTileBytes, kTileRow);
    FACEGEN_PRODUCTS(0, 2, 5);
    between(2 * s + 1);
  }
#undef FACEGEN_PRODUCTS
  _tile_stored(0, sums.of[0][0], kTileRow);
  _tile_stored(1, sums.of[0][1], kTileRow);
  _tile_stored(2, sums.of[0][2], kTileRow);
  if constexpr (R > 1) {
    _tile_stored(3, sums.of[1][0], kTileRow);
    _tile_stored(4, sums.of[1][1], kTileRow);
    _tile_stored(5, sums.of[1][2], kTileRow);
  }
}

inline Vec sums_of(const int32_t (&row)[kTile]) {
  return _mm512_maskz_cvtepi32_ps(0xffff, _mm512_load_si512(row));
}

// Adds rows first .. last - 1 of a panel of products to C.
inline void add_rows(int first, int last, const Sums& sums, const float* row_exponents,
                     const float* column_exponents, float* const* c, int64_t column,
                     bool accumulate) {
  // of the lowest bit of the sums of digits 0
  const Vec exponents = load(column_exponents) + broadcast(32.0f - 2 * kBits);
  const Vec digit = broadcast(0x1p-8f);
  for (int r = first; r < last; ++r) {
    const auto& of = sums.of[r / kTile];
    const int row = r % kTile;
    Vec sum = multiply_add(sums_of(of[2][row]), digit, sums_of(of[1][row]));
    sum = multiply_add(sum, digit, sums_of(of[0][row]));
    sum = _mm512_maskz_scalef_ps(0xffff, sum, exponents + broadcast(row_exponents[r]));
    float* out = c[r] + column;
    store(out, accumulate ? load(out) + sum : sum);
  }
}

template <int R>
void multiply_panels(int rows, int depth, const char* a, const char* b, int panels, float* const* c,
                     bool accumulate) {
  const int steps = steps_of(depth);
  const float* const row_exponents = reinterpret_cast<const float*>(a);
  const int64_t panel_bytes = weight_panel_bytes(depth);
  Sums sums[2];
  for (int p = 0; p <= panels; ++p, b += panel_bytes) {
    const auto add_before = [&](int first, int last) {
      if (p == 0) return;
      add_rows(first, last, sums[(p - 1) % 2], row_exponents,
               reinterpret_cast<const float*>(b - panel_bytes), c, int64_t{p - 1} * kTile,
               accumulate);
    };
    if (p == panels) return add_before(0, rows);
    products<R>(a + kRowHeader, b + kWeightHeader, steps, sums[p % 2], [&](int part) {
      add_before(rows * part / (2 * steps), rows * (part + 1) / (2 * steps));
    });
  }
}

void multiply(int rows, int depth, const void* panel, const void* weights, int panels,
              float* const* c, bool accumulate) {
  const auto run = rows > kTile ? multiply_panels<2> : multiply_panels<1>;
  run(rows, depth, static_cast<const char*>(panel), static_cast<const char*>(weights), panels, c,
      accumulate);
}

}  // namespace fixed_point
}  // namespace
