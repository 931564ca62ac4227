// How much shared memory a block has, and how operands lie in it.
#pragma once

#include "host_device.h"

namespace facegen::cuda::hopper {

// Shared memory that a block asks for at most, of 227 KiB; the rest is for what is declared in
// kernels.
constexpr int kMostSharedBytes = 226 << 10;

constexpr int kTeamThreads = 128;  // of a warpgroup

// Units of neighbouring elements, of which a tap of a sum has four: see fragments.cuh.
constexpr int kUnitElements = 6;
constexpr int kUnitBytes = 24;
constexpr int kTapElements = 4 * kUnitElements;
constexpr int kTapSlots = 3;  // of 8 places

constexpr int steps_of_taps(int taps) { return (kTapSlots * taps + 1) / 2; }
FACEGEN_HOST_DEVICE constexpr int step_bytes(int columns, bool half) {
  return columns * 32 * (half ? 1 : 2);
}

// Pixels of a 3x3 pool that a warp makes of a row: see pool_rows.cuh.
constexpr int kWarpPooled = 7;

}  // namespace facegen::cuda::hopper
