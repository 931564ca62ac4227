// Products of signs by tables in registers, for AVX2 and AVX-512.
//
// They lack a popcount (AVX2) or have one that is no faster (AVX-512 VPOPCNTDQ: isa/binary_words.h), but
// their byte shuffle looks 32 or 64 numbers of 4 bits up in a table of 16 at once. A code is the signs of
// 4 channels. A row's code a picks the table of popcount(a ^ i) for all i, a column's code w is the
// index: one shuffle makes 4 products for each of 32 (64) columns.
//
//   panel of B (row_bytes, kTableColumns): byte (k, n) is code k of column n, columns in the order of
//   kLane below
//
// A count of 4 bits needs 3 bits of the byte: so the table serves two rows of A at once, the first in
// the lower half of the byte, the second in the upper one,
//
//   table[a, b][i] = popcount(a ^ i) + 16 popcount(b ^ i)          256 tables of 16 bytes: 4 KiB
//
// and three of them are added before the halves are parted (3 * 4 < 16). That is 3 shuffles, 2
// additions, and 4 instructions to part and to add, for 24 products in each byte.
//
// The halves: s & 15 is added to bytes. The upper ones come from a shift of 16-bit lanes, s >> 4, which
// drags the lower half of the odd byte into the even one: that sum is known, and taken off at the end of
// a stretch. A stretch is at most 63 codes: 63 * 4 fits in a byte.
//
// Registers, of 16: 4 + 4 sums, 1 to 3 tables, 4 of s, a mask. AMD EPYC (Zen 3), one thread, products a
// second in L1, 2026-11-30: two rows and 4 vectors 785e9, 3 vectors 781e9, 2 vectors 744e9; one row a
// table at its best 521e9.
#pragma once

#include "cpu/binary_kernels.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::BinaryKernels;
using facegen::cpu::BinaryProduct;

namespace binary_tables {

constexpr int kBytes = 4 * kLanes;  // of a vector
constexpr int kVectors = 4;
constexpr int kColumns = kVectors * kBytes;
constexpr int kMostRows = 32;     // whose sums of 16 bits (2 rows are 512 B, 1 KiB) stay in L1
constexpr int kSignsOfCode = 4;
constexpr int kStretch = 63;      // codes: a byte counts to 252
constexpr int kMostCodes = 260 * kStretch;  // 16 bits count to 65,520
static_assert(kStretch * kSignsOfCode < 256 && kMostCodes * kSignsOfCode < 65536);
static_assert(kStretch % 3 == 0);

typedef uint8_t Bytes __attribute__((vector_size(kBytes), may_alias));
typedef uint16_t Shorts __attribute__((vector_size(kBytes), may_alias));
typedef uint16_t HalfShorts __attribute__((vector_size(kBytes / 2), may_alias));
typedef int32_t Ints __attribute__((vector_size(kBytes)));

struct alignas(64) Tables {
  uint8_t of[256][16];  // lower half of the number: the first row's code
  constexpr Tables() : of() {
    for (int a = 0; a < 256; ++a) {
      for (int i = 0; i < 16; ++i) {
        of[a][i] = static_cast<uint8_t>(bits((a & 15) ^ i) + 16 * bits((a >> 4) ^ i));
      }
    }
  }
  static constexpr int bits(int x) { return (x & 1) + (x >> 1 & 1) + (x >> 2 & 1) + (x >> 3 & 1); }
};
constexpr Tables kTables;

// The byte of a vector where column n of it is: even bytes hold the first half of the columns, so that
// the sums of the even bytes and of the odd ones are each in order.
constexpr int lane_of(int n) { return n < kBytes / 2 ? 2 * n : 2 * n - kBytes + 1; }

inline Bytes table_at(int offset) {
  const auto* p = reinterpret_cast<const __m128i*>(&kTables.of[0][0] + offset);
#if defined(__AVX512F__)
  // With a mask of all lanes: GCC 12 warns of its own header's _mm512_broadcast_i32x4.
  return reinterpret_cast<Bytes>(_mm512_maskz_broadcast_i32x4(0xffff, _mm_load_si128(p)));
#else
  return reinterpret_cast<Bytes>(_mm256_broadcastsi128_si256(_mm_load_si128(p)));
#endif
}

inline Bytes look_up(Bytes table, Bytes index) {
#if defined(__AVX512F__)
  return reinterpret_cast<Bytes>(
      _mm512_shuffle_epi8(reinterpret_cast<__m512i>(table), reinterpret_cast<__m512i>(index)));
#else
  return reinterpret_cast<Bytes>(
      _mm256_shuffle_epi8(reinterpret_cast<__m256i>(table), reinterpret_cast<__m256i>(index)));
#endif
}

// Sums of a pair of rows over a stretch.
struct PairSums {
  Bytes lower[kVectors];   // the first row's, by bytes
  Shorts upper[kVectors];  // the second row's, and 16 times the first's of the odd byte
};

// Adds `Codes` codes of a pair of rows, whose halves then fit in a byte.
template <int Codes>
inline void add_codes(const uint16_t* offsets, const uint8_t* panel, PairSums& sums) {
  static_assert(Codes * kSignsOfCode < 16);
  Bytes tables[Codes];
  FACEGEN_UNROLL_ALL
  for (int k = 0; k < Codes; ++k) tables[k] = table_at(offsets[k]);
  FACEGEN_UNROLL_ALL
  for (int v = 0; v < kVectors; ++v) {
    Bytes s = {};
    FACEGEN_UNROLL_ALL
    for (int k = 0; k < Codes; ++k) {
      s += look_up(tables[k], *reinterpret_cast<const Bytes*>(panel + k * kColumns + v * kBytes));
    }
    sums.lower[v] += s & 15;
    sums.upper[v] += reinterpret_cast<Shorts>(s) >> 4;
  }
}

// Adds a stretch of codes of a pair of rows to the counts (2, kColumns) of 16 bits.
inline void add_stretch(const uint16_t* offsets, const uint8_t* panel, int codes, uint16_t* counts) {
  PairSums sums = {};
  int k = 0;
  for (; k + 3 <= codes; k += 3) add_codes<3>(offsets + k, panel + k * kColumns, sums);
  for (; k < codes; ++k) add_codes<1>(offsets + k, panel + k * kColumns, sums);
  FACEGEN_UNROLL_ALL
  for (int v = 0; v < kVectors; ++v) {
    const Shorts lower = reinterpret_cast<Shorts>(sums.lower[v]), odd = lower >> 8;
    const Shorts upper = sums.upper[v] - (odd << 4);
    auto* first = reinterpret_cast<Shorts*>(counts + v * kBytes);
    auto* second = reinterpret_cast<Shorts*>(counts + kColumns + v * kBytes);
    first[0] += lower & 255;
    first[1] += odd;
    second[0] += upper & 255;
    second[1] += upper >> 8;
  }
}

// sums = signs - 2 counts, or sums -= 2 counts; counts become 0.
inline void take_counts(uint16_t* counts, int32_t signs, bool first, float* sums) {
  for (int n = 0; n < kColumns; n += kBytes / 4) {
    auto& part = *reinterpret_cast<HalfShorts*>(counts + n);
    const Vec twice = to_float(__builtin_convertvector(part, Ints) * 2);
    store(sums + n, (first ? broadcast(static_cast<float>(signs)) : load(sums + n)) - twice);
    part = HalfShorts{};
  }
}

int64_t pixel_bytes(int channels) { return (channels + kSignsOfCode - 1) / kSignsOfCode; }

int64_t panel_bytes(int64_t row_bytes) { return row_bytes * kColumns; }

// The offsets of the tables of each pair of rows.
int64_t scratch_bytes(int64_t row_bytes) { return row_bytes * kMostRows; }

void encode(const float* in, int channels, uint8_t* codes) {
  for_each_vector(channels, [&](int i, auto get, auto) {
    const Vec x = get(in + i);
#if defined(__AVX512F__)
    const unsigned bits = _mm512_cmp_ps_mask(x, Vec{}, _CMP_LT_OQ);
#else
    const auto bits = static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_cmp_ps(x, Vec{}, _CMP_LT_OQ)));
#endif
    const int left = channels - i < kLanes ? channels - i : kLanes;
    for (int c = 0; c < left; c += kSignsOfCode) *codes++ = bits >> c & 15;
  });
}

void pack(const uint8_t* codes, int64_t row_bytes, int columns, uint8_t* panel) {
  for (int64_t k = 0; k < row_bytes; ++k, panel += kColumns) {
    for (int n = 0; n < kColumns; ++n) {
      panel[n / kBytes * kBytes + lane_of(n % kBytes)] = n < columns ? codes[n * row_bytes + k] : 0;
    }
  }
}

void multiply(const BinaryProduct& p) {
  const int pairs = (p.rows + 1) / 2;
  auto* const offsets = reinterpret_cast<uint16_t*>(p.scratch);  // (pairs, row_bytes)
  for (int i = 0; i < pairs; ++i) {
    const uint8_t* first = p.codes + 2 * i * p.row_bytes;
    const uint8_t* second = 2 * i + 1 < p.rows ? first + p.row_bytes : first;
    uint16_t* to = offsets + i * p.row_bytes;
    for (int64_t k = 0; k < p.row_bytes; ++k) {
      to[k] = static_cast<uint16_t>(first[k] << 4 | second[k] << 8);
    }
  }
  alignas(64) uint16_t counts[kMostRows * kColumns];
  for (int i = 0; i < 2 * pairs * kColumns; ++i) counts[i] = 0;
  const int64_t sums_stride = int64_t{p.panels} * kColumns;
  for (int panel = 0; panel < p.panels; ++panel) {
    const uint8_t* weights = p.weights + panel * panel_bytes(p.row_bytes);
    for (int64_t begin = 0; begin < p.row_bytes; begin += kMostCodes) {
      const int64_t end = begin + kMostCodes < p.row_bytes ? begin + kMostCodes : p.row_bytes;
      // The weights of a stretch, 8 or 16 KiB, stay in L1 for all rows.
      for (int64_t k = begin; k < end; k += kStretch) {
        const auto codes = static_cast<int>(end - k < kStretch ? end - k : kStretch);
        for (int i = 0; i < pairs; ++i) {
          add_stretch(offsets + i * p.row_bytes + k, weights + k * kColumns, codes,
                      counts + 2 * i * kColumns);
        }
      }
      for (int r = 0; r < p.rows; ++r) {
        take_counts(counts + r * kColumns, p.signs[r], begin == 0,
                    p.sums + r * sums_stride + panel * kColumns);
      }
      if (p.rows % 2 != 0) {
        for (int n = 0; n < kColumns; ++n) counts[p.rows * kColumns + n] = 0;
      }
    }
  }
}

constexpr BinaryKernels kKernels = {
    "tables", kColumns, kMostRows, pixel_bytes, panel_bytes, scratch_bytes, encode, pack, multiply};

}  // namespace binary_tables

constexpr const BinaryKernels& kBinary = binary_tables::kKernels;

}  // namespace
