// Products of signs by counting the bits of words: for processors without tables in registers, and for
// those that count in one instruction (AVX-512 VPOPCNTDQ).
//
//   panel of B (row_bytes / 8, kColumns) of 64-bit words: word k of all columns side by side
//
// A word of a row of A meets a vector of columns: differing += popcount(a ^ b), each column in a lane of
// its own, so that nothing is added across lanes. Where the bits of a word are counted by shifts and
// masks, counts stay in bytes for a stretch of up to 31 words (31 * 8 < 256).
#pragma once

#include "cpu/binary_kernels.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::BinaryKernels;
using facegen::cpu::BinaryProduct;

namespace binary_words {

constexpr int kWordBytes = 8;
constexpr int kSignsOfWord = 64;
#if defined(__AVX512VPOPCNTDQ__)
// 4 rows x 4 vectors of sums, 4 of weights, a word: 21 of 32 registers.
constexpr int kWords = 8, kVectors = 4, kTileRows = 4, kStretch = 1 << 20;
#else
constexpr int kWords = 2, kVectors = 4, kTileRows = 1, kStretch = 31;
#endif
constexpr int kColumns = kVectors * kWords;
constexpr int kMostRows = 32;

typedef uint64_t Words __attribute__((vector_size(kWords * 8), may_alias));

// What a stretch adds for a word, and what becomes of the sum at its end.
#if defined(__AVX512VPOPCNTDQ__)
inline Words count(Words x) {
  return reinterpret_cast<Words>(_mm512_popcnt_epi64(reinterpret_cast<__m512i>(x)));
}
inline Words total(Words x) { return x; }
#else
inline Words count(Words x) {  // in each byte, its own bits
  x -= x >> 1 & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + (x >> 2 & 0x3333333333333333u);
  return (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
}
inline Words total(Words x) {  // by way of 16 bits: the sum of 8 bytes does not fit in one
  x = (x & 0x00ff00ff00ff00ffu) + (x >> 8 & 0x00ff00ff00ff00ffu);
  return x * 0x0001000100010001u >> 48;
}
#endif

// sums of `Rows` rows and the columns of a panel.
template <int Rows>
inline void multiply_tile(const uint64_t* a, int64_t words, const uint64_t* panel,
                          const int32_t* signs, float* sums, int64_t sums_stride) {
  Words differing[Rows][kVectors] = {};
  for (int64_t begin = 0; begin < words; begin += kStretch) {
    const int64_t end = begin + kStretch < words ? begin + kStretch : words;
    Words counts[Rows][kVectors] = {};
    for (int64_t k = begin; k < end; ++k) {
      FACEGEN_UNROLL_ALL
      for (int v = 0; v < kVectors; ++v) {
        const Words b = *reinterpret_cast<const Words*>(panel + k * kColumns + v * kWords);
        FACEGEN_UNROLL_ALL
        for (int r = 0; r < Rows; ++r) counts[r][v] += count(b ^ a[r * words + k]);
      }
    }
    FACEGEN_UNROLL_ALL
    for (int r = 0; r < Rows; ++r) {
      FACEGEN_UNROLL_ALL
      for (int v = 0; v < kVectors; ++v) differing[r][v] += total(counts[r][v]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      for (int n = 0; n < kWords; ++n) {
        const auto twice = static_cast<int32_t>(differing[r][v][n]) * 2;
        sums[r * sums_stride + v * kWords + n] = static_cast<float>(signs[r] - twice);
      }
    }
  }
}

int64_t pixel_bytes(int channels) {
  return int64_t{channels + kSignsOfWord - 1} / kSignsOfWord * kWordBytes;
}

int64_t panel_bytes(int64_t row_bytes) { return row_bytes * kColumns; }

int64_t scratch_bytes(int64_t) { return 0; }

void encode(const float* in, int channels, uint8_t* codes) {
  for (int first = 0; first < channels; first += kSignsOfWord, codes += kWordBytes) {
    const int count = channels - first < kSignsOfWord ? channels - first : kSignsOfWord;
    uint64_t word = 0;
    for (int c = 0; c < count; ++c) word |= uint64_t{in[first + c] < 0.0f} << c;
    __builtin_memcpy(codes, &word, kWordBytes);
  }
}

void pack(const uint8_t* codes, int64_t row_bytes, int columns, uint8_t* panel) {
  for (int64_t k = 0; k < row_bytes; k += kWordBytes) {
    for (int n = 0; n < kColumns; ++n, panel += kWordBytes) {
      uint64_t word = 0;
      if (n < columns) __builtin_memcpy(&word, codes + n * row_bytes + k, kWordBytes);
      __builtin_memcpy(panel, &word, kWordBytes);
    }
  }
}

void multiply(const BinaryProduct& p) {
  const int64_t words = p.row_bytes / kWordBytes, sums_stride = int64_t{p.panels} * kColumns;
  const auto* a = reinterpret_cast<const uint64_t*>(p.codes);
  for (int panel = 0; panel < p.panels; ++panel) {
    const auto* b = reinterpret_cast<const uint64_t*>(p.weights + panel * panel_bytes(p.row_bytes));
    float* sums = p.sums + panel * kColumns;
    int r = 0;
    for (; r + kTileRows <= p.rows; r += kTileRows) {
      multiply_tile<kTileRows>(a + r * words, words, b, p.signs + r, sums + r * sums_stride,
                               sums_stride);
    }
    for (; r < p.rows; ++r) {
      multiply_tile<1>(a + r * words, words, b, p.signs + r, sums + r * sums_stride, sums_stride);
    }
  }
}

constexpr BinaryKernels kKernels = {
    "popcount", kColumns, kMostRows, pixel_bytes, panel_bytes, scratch_bytes, encode, pack, multiply};

}  // namespace binary_words

constexpr const BinaryKernels& kBinary = binary_words::kKernels;

}  // namespace
