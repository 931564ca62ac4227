// Convolutions on Hopper that are max-pooled before they are stored: which steps one kernel can do.
//
// Bias and activation come after the maxima, so only those that change no order are taken.
#pragma once

#include "cuda/fit/shared_memory.h"
#include "cuda/fit/step_fit.h"

namespace facegen::cuda::hopper {

// A plain convolution without scale, shift or addition, whose activation is none or ReLU, and a
// plain 3x3 pool of stride 2 that reads nothing outside what the convolution makes.
bool is_pooled_by_three(const Step& step);

// stem.cu: a first convolution of 3 channels and stride 2, and a 3x3 pool of stride 2 with any
// padding.
constexpr int kStemColumns = 96;
constexpr int kStemThreads = 256;
constexpr int kMaxStemTaps = 8;
constexpr int kMaxStemPoolWidth = kStemThreads / 32 * kWarpPooled;
bool stem_suits(const StepFit& fit);

// pool_windows.cu: few channels, and a 2x2 pool.
constexpr int kWindowSteps = 3;  // of 16 places
constexpr int kMaxWindowWords = 8 * kWindowSteps;
constexpr int kMaxWindowChannels = 96;
constexpr int kMaxStageBytes = 14 << 10;
constexpr int kMaxWindows = 640;  // of an item
// Of two neighbouring elements as they are staged.
FACEGEN_HOST_DEVICE constexpr int word_bytes(bool half) { return half ? 4 : 8; }
// Words of a window's row, and of a whole row.
int window_row_words(const Step& step);
int staged_row_words(const Step& step);
bool pool_windows_suit(const StepFit& fit);

// pool_maps.cu: a multiple of 32 channels, and a 2x2 pool.
constexpr int kMaxMapTeams = 6;  // warpgroups of a block
constexpr int kMapTile = 8;  // pixels of the convolution, each way
constexpr int kSlice = 32;   // channels
constexpr int kSliceBytes = 2 * kSlice;
struct MapsPlan {
  int columns = 0;  // 0: the layer does not fit
  int weight_bytes = 0, patch_h = 0, patch_w = 0, plane_bytes = 0, team_bytes = 0, teams = 0;
};
MapsPlan plan_maps(const Step& step, bool half);
bool pool_maps_suit(const StepFit& fit);

}  // namespace facegen::cuda::hopper
