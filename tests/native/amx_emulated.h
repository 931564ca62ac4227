// The instructions of the AMX unit that csrc/cpu/isa uses, as functions on plain arrays, so that its
// kernels are tested on processors without the unit. After Intel's manual; speed is of no account.
//
// Included by isa/amx_unit.h, after <immintrin.h>, whose names the macros at the end take over.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {
namespace amx_emulated {

struct alignas(64) Tile {
  unsigned char bytes[16][64];
};

// Of one thread, as in the processor. Without a configuration every instruction faults.
struct Unit {
  Tile tiles[8];
  bool configured = false;
};

inline Unit& unit() {
  static thread_local Unit here;
  return here;
}

inline Tile& tile(int number) {
  if (!unit().configured) std::abort();
  return unit().tiles[number];
}

inline void load_config(const void* config) {
  unsigned char bytes[64];
  std::memcpy(bytes, config, sizeof bytes);
  unit().configured = bytes[0] == 1;
  for (int i = 0; i < 8; ++i) {  // all that the kernels use: whole tiles
    uint16_t row_bytes;
    std::memcpy(&row_bytes, bytes + 16 + 2 * i, sizeof row_bytes);
    if (row_bytes != 64 || bytes[48 + i] != 16) std::abort();
  }
  std::memset(unit().tiles, 0, sizeof unit().tiles);
}

inline void release() { unit().configured = false; }

inline void zero(int number) { std::memset(&tile(number), 0, sizeof(Tile)); }

inline void load(int number, const void* from, int64_t row_bytes) {
  for (int r = 0; r < 16; ++r) {
    std::memcpy(tile(number).bytes[r], static_cast<const char*>(from) + r * row_bytes, 64);
  }
}

inline void store(int number, void* to, int64_t row_bytes) {
  for (int r = 0; r < 16; ++r) {
    std::memcpy(static_cast<char*>(to) + r * row_bytes, tile(number).bytes[r], 64);
  }
}

// sums[r][column] += a[r][4 k + i] * b[k][4 column + i], signed bytes into int32.
inline void multiply_int8(int sums, int a, int b) {
  int32_t c[16][16];
  int8_t x[16][64], y[16][64];
  std::memcpy(c, &tile(sums), sizeof c);
  std::memcpy(x, &tile(a), sizeof x);
  std::memcpy(y, &tile(b), sizeof y);
  for (int r = 0; r < 16; ++r) {
    for (int k = 0; k < 16; ++k) {
      for (int column = 0; column < 16; ++column) {
        for (int i = 0; i < 4; ++i) c[r][column] += x[r][4 * k + i] * y[k][4 * column + i];
      }
    }
  }
  std::memcpy(&tile(sums), c, sizeof c);
}

// bfloat16 to float; subnormal numbers count as zero.
inline float widened(uint16_t half) {
  const uint32_t bits = (half & 0x7f80) != 0 ? uint32_t{half} << 16 : uint32_t{half & 0x8000u} << 16;
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// sums[r][column] += a[r][2 k + i] * b[k][2 column + i]; even and odd products are summed apart.
inline void multiply_bfloat16(int sums, int a, int b) {
  float c[16][16];
  uint16_t x[16][32], y[16][32];
  std::memcpy(c, &tile(sums), sizeof c);
  std::memcpy(x, &tile(a), sizeof x);
  std::memcpy(y, &tile(b), sizeof y);
  for (int r = 0; r < 16; ++r) {
    for (int column = 0; column < 16; ++column) {
      float even = 0, odd = 0;
      for (int k = 0; k < 16; ++k) {
        even = std::fma(widened(x[r][2 * k]), widened(y[k][2 * column]), even);
        odd = std::fma(widened(x[r][2 * k + 1]), widened(y[k][2 * column + 1]), odd);
      }
      c[r][column] += even + odd;
    }
  }
  std::memcpy(&tile(sums), c, sizeof c);
}

struct Halves {
  uint16_t of[32];
};

// Rounds 32 floats to bfloat16, the second 16 behind the first; to the nearest, ties to even.
inline Halves round_to_bfloat16(__m512 second, __m512 first) {
  uint32_t bits[32];
  std::memcpy(bits, &first, sizeof first);
  std::memcpy(bits + 16, &second, sizeof second);
  Halves halves;
  for (int i = 0; i < 32; ++i) {
    const uint32_t exponent = bits[i] & 0x7f800000;
    uint32_t rounded = bits[i] + 0x7fff + (bits[i] >> 16 & 1);
    if (exponent == 0) rounded = bits[i] & 0x80000000;
    if (exponent == 0x7f800000) rounded = bits[i] | ((bits[i] & 0x7fffff) != 0 ? 0x400000 : 0);
    halves.of[i] = static_cast<uint16_t>(rounded >> 16);
  }
  return halves;
}

}  // namespace amx_emulated
}  // namespace

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stream_loadd
#undef _tile_stored
#undef _tile_dpbssd
#undef _tile_dpbf16ps
#undef _mm512_cvtne2ps_pbh
#define _tile_loadconfig amx_emulated::load_config
#define _tile_release amx_emulated::release
#define _tile_zero amx_emulated::zero
#define _tile_loadd amx_emulated::load
#define _tile_stream_loadd amx_emulated::load
#define _tile_stored amx_emulated::store
#define _tile_dpbssd amx_emulated::multiply_int8
#define _tile_dpbf16ps amx_emulated::multiply_bfloat16
#define _mm512_cvtne2ps_pbh amx_emulated::round_to_bfloat16
