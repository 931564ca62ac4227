// The two convolutions of a fire module, 1x1 and 3x3, that nn/fit/siblings.py has joined, on Hopper: by
// themselves, with the max-pool behind them, or with the squeeze of the next module.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/fit/shared_memory.h"
#include "cuda/fit/step_fit.h"

namespace facegen::cuda::hopper {

constexpr int kExpandColumns = 64;
constexpr int kMaxExpandTeams = 4;     // warpgroups of a block
constexpr int kExpandPixelBytes = 16;  // of 8 channels of a plane
constexpr int kStartItems = 6;         // by a thread at once, where an image starts

// A warpgroup's patch of the map: a ring of rows in shared memory (see expand.cuh).
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

// The first of 64 channels of the 3x3 convolution, and of the 1x1.
struct ChannelPair {
  int32_t large, one;
};
std::vector<ChannelPair> pair_channels(const Step& step);
// Of the weights of a pair.
int pair_bytes(const Step& step, bool half);
// Warpgroups that share a multiprocessor, with so many bytes of weights.
int count_teams(const PatchShape& patch, int weight_bytes);

// Items of a tile's new rows that a thread of each kernel has registers for.
constexpr int kMaxExpandItems = 3, kMaxPoolItems = 2, kMaxSqueezeItems = 2;
constexpr int kMaxExpandPoolWidth = 4 * kWarpPooled;
constexpr int kSqueezeSteps = kExpandColumns / 16;  // of a squeeze's sum, of 64 channels
constexpr int kMaxSqueezed = 32;
inline int squeeze_columns(const Step& squeeze) {
  return squeeze.out.c <= 16 ? 16 : kMaxSqueezed;
}

// Whether a kernel can do all of the step.
bool expand_suits(const StepFit& fit);
bool expand_pool_suits(const StepFit& fit);
bool expand_squeeze_suits(const StepFit& fit);

}  // namespace facegen::cuda::hopper
