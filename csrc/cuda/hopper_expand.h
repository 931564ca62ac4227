// The two convolutions of a fire module, 1x1 and 3x3, joined (merge_siblings in prepare.cpp), on
// Hopper: by themselves, with the max-pool behind them, or with the squeeze of the next module.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <vector>

#include "program.h"

namespace facegen::cuda::hopper {

constexpr int kExpandColumns = 64;
constexpr int kTeamThreads = 128;  // of a warpgroup
constexpr int kMaxTeams = 4;       // of a block
constexpr int kPixelBytes = 16;    // of 8 channels of a plane
constexpr int kStartItems = 6;     // by a thread at once, where an image starts

// A warpgroup's patch of the map: a ring of rows in shared memory (see hopper_expand.cuh).
struct PatchShape {
  int32_t warps_a_row = 0;  // 1, 2 or 4
  int32_t tile_rows = 0, ring_rows = 0, start_rows = 0;
  int32_t row_bytes = 0, eight_bytes = 0, plane_bytes = 0, bytes = 0;
  uint32_t per_row = 0, per_pixel = 0;  // reciprocals of items: 8 channels of a pixel
  int items = 0;                        // of a tile's new rows, by a thread
};
// Behind the last patch: what pixels that are not there read.
constexpr int kPastPatches = 512;
// `spare`: with room for a tile's new rows beside all that it reads.
PatchShape make_patch(const View& map, bool half, bool spare);

// Pairs of 64 channels each: the first of 3x3, the second of 1x1. Empty where there are others.
std::vector<int2> pair_channels(const Step& step);
// B of a pair: 64 columns of the 3x3 convolution (row of taps, 16 channels, tap of the row), then
// 64 of the 1x1.
std::vector<uint16_t> pack_pair(const Step& step, int2 channels, bool half);
int pair_bytes(const Step& step, bool half);
// Warpgroups that share a multiprocessor, with so many bytes of weights.
int count_teams(const PatchShape& patch, int weight_bytes);

// Formats apart; whether a kernel can do the step, and where there is another, both. (With a
// max-pool: hopper_pool.h.)
bool expand_suits(const Step& expand);
bool expand_squeeze_suits(const Step& expand, const Step& squeeze, bool half);

}  // namespace facegen::cuda::hopper
