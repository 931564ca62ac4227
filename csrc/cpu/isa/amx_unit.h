// The AMX unit: eight tile registers of 16 rows of 64 bytes, and products of tiles.
//
// A product takes 16 cycles, whatever the type of its numbers, and a load 8, from L1. Weights are
// loaded with the hint of the second-level cache (_tile_stream_loadd): they come from L2 and meet
// one tile of rows, so they should not push the panel of A out of L1. Xeon, family 6 model 167, one
// thread, multiply-adds a second in bfloat16 at a depth of 512: 1,090e9 with it, 920e9 without.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "cpu/kernels.h"

#ifdef FACEGEN_AMX_EMULATED
#include "amx_emulated.h"  // tests/native: the same for processors without the unit
#endif

namespace {

constexpr int kTile = 16;  // rows of a tile, and columns of a tile of sums
constexpr int kTileBytes = 1024;
constexpr int kTileRow = 64;  // bytes

// All eight registers whole.
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

}  // namespace
