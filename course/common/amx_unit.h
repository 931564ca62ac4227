// The AMX unit's instructions, or the same on arrays where -march=native does not have them.
//
// Eight tile registers of 16 rows of 64 bytes; after Intel's manual. The emulation is for the result
// alone, its time tells nothing.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "machine_cpu.h"

#if (defined(__AMX_BF16__) || defined(__AMXBF16__)) && defined(__linux__)  // Clang 14 has its own word
#define COURSE_AMX
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace course {

constexpr int kTile = 16;  // rows of a tile, and columns of a tile of sums

// Rounded to 8 significant bits, to even where it is half way. (No NaN here.)
inline uint16_t to_bfloat16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  bits += 0x7fff + ((bits >> 16) & 1);
  return static_cast<uint16_t>(bits >> 16);
}

#if defined(COURSE_AMX)

constexpr bool kAmx = true;

// Linux wants to be asked before a process uses the tiles: their state is 8 KiB a thread.
inline const char* amx_missing() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  static const bool granted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return granted ? nullptr : "the system does not let this process use AMX";
}
inline void begin_task() {
  struct alignas(64) Config {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  static constexpr Config config;
  _tile_loadconfig(&config);
}
inline void end_task() { _tile_release(); }
// What was written before is in memory: GCC 12's _tile_loadd does not say that it reads any.
inline void end_writes() { std::atomic_signal_fence(std::memory_order_seq_cst); }

// Products of tiles that are there already, on four tiles of sums in turns.
inline double amx_peak_gflops() {
  constexpr int kRounds = 10000;
  double least = 1e30;
  begin_task();
  _tile_zero(4);
  _tile_zero(6);
  for (int trial = 0; trial < 20; ++trial) {
    least = std::min(least, seconds_of([] {
      for (int round = 0; round < kRounds; ++round) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 6);
        _tile_dpbf16ps(2, 4, 6);
        _tile_dpbf16ps(3, 4, 6);
      }
    }, 1));
  }
  end_task();
  return 2.0 * 16 * 16 * 32 * 4 * kRounds / least * 1e-9;
}

#else

constexpr bool kAmx = false;
inline const char* amx_missing() { return "no AMX here: emulated, and not run for time"; }
inline void begin_task() {}
inline void end_task() {}
inline void end_writes() {}
inline double amx_peak_gflops() { return 0; }

struct Tile {
  unsigned char rows[kTile][64];
};
inline Tile& tile(int number) {
  static thread_local Tile registers[8];
  return registers[number];
}
inline void load_tile(int number, const void* from, int64_t row_bytes) {
  for (int r = 0; r < kTile; ++r)
    std::memcpy(tile(number).rows[r], static_cast<const char*>(from) + r * row_bytes, 64);
}
inline void store_tile(int number, void* to, int64_t row_bytes) {
  for (int r = 0; r < kTile; ++r)
    std::memcpy(static_cast<char*>(to) + r * row_bytes, tile(number).rows[r], 64);
}
inline float from_bfloat16(uint16_t x) {
  const uint32_t bits = uint32_t{x} << 16;
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
// sums[r][column] += a[r][2 k + i] * b[k][2 column + i]
inline void multiply_tiles(int sums_number, int a_number, int b_number) {
  float sums[kTile][kTile];
  uint16_t a[kTile][2 * kTile], b[kTile][2 * kTile];
  std::memcpy(sums, &tile(sums_number), sizeof sums);
  std::memcpy(a, &tile(a_number), sizeof a);
  std::memcpy(b, &tile(b_number), sizeof b);
  for (int r = 0; r < kTile; ++r)
    for (int k = 0; k < kTile; ++k)
      for (int i = 0; i < 2; ++i) {
        const float element = from_bfloat16(a[r][2 * k + i]);
        for (int column = 0; column < kTile; ++column)
          sums[r][column] += element * from_bfloat16(b[k][2 * column + i]);
      }
  std::memcpy(&tile(sums_number), sums, sizeof sums);
}

// The intrinsics' names, so that a kernel reads the same.
#define _tile_loadd(number, from, row_bytes) ::course::load_tile(number, from, row_bytes)
#define _tile_stored(number, to, row_bytes) ::course::store_tile(number, to, row_bytes)
#define _tile_dpbf16ps(sums, a, b) ::course::multiply_tiles(sums, a, b)

#endif

}  // namespace course
