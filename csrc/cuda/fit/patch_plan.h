// conv2d and conv_transpose2d of few input channels on Hopper (patch.cu, rows.cu): how such a layer
// is cut.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/fit/shared_memory.h"
#include "cuda/fit/step_fit.h"

namespace facegen::cuda::hopper {

constexpr int kPatchRows = 64;  // output pixels of a tile
constexpr int kMaxPatchK = 192;
constexpr int kMaxPatchColumns = 96;
constexpr int kMaxPatchElements = 2560;

// Output rows of one phase along y. Phases along x read the same input and write side by side, so
// they are columns of one product.
struct PatchGroup {
  int32_t k;                     // taps * channels
  int32_t rows, cols;            // output pixels; those that share input pixels along x count as one
  int32_t origin_y, out_step_y;  // output row = origin_y + row * out_step_y
  int32_t top, left;             // input position of the first tap of output pixel (0, 0)
  int32_t patch_h, patch_w;      // input pixels that a tile reads
  int32_t tiles_y, tiles_x;
  uint32_t reciprocal;  // of a row of the patch, in elements
};

struct PatchPlan {
  int phases_x = 1;
  int columns = 0;  // phases_x * (pixel stride of the output, or its channels where that is 1)
  int step_y = 1, step_x = 1;
  int log2_w = 0;          // pixels of a tile along x
  int patch_elements = 0;  // of the largest patch
  std::vector<PatchGroup> groups;
  std::vector<int16_t> offsets;       // (groups, kMaxPatchK): place in the patch of element k
  std::vector<int32_t> weight_index;  // (groups, columns, kMaxPatchK): in step.weight, or -1
};

// Without groups where the step does not suit the kernel.
PatchPlan plan_patch(const Step& step);

// Whether the layer has so few channels that it is cut so: its input stays float32.
inline bool has_patches(const Step& step) { return !plan_patch(step).groups.empty(); }

// Whether the kernels can do all of a step.
bool patch_suits(const StepFit& fit);
bool rows_suit(const StepFit& fit);

// Whether a patch's output is stored in vectors of 8.
inline bool patch_in_vectors(const StepFit& fit) {
  return in_whole_vectors(fit.step.out, fit.out);
}

// Of rows.cu: how a plan's rows are shared by the warpgroups of a block.
constexpr int kRowsTilePixels = 64;
constexpr int kMaxRowsTeams = 4;
constexpr int kMaxRowsTaps = 16;
constexpr int kMaxRowsGroups = 8;
constexpr int kRowsPixelBytes = 4 * kUnitBytes;
constexpr int kRowsPixelPairs = kTapElements / 2;
constexpr int kMaxRowsPairs = 6;  // of elements of a row, by a thread
// What is read of a patch for positions that do not exist.
constexpr int kPastRowsPatch = kRowsTilePixels * kRowsPixelBytes;

struct RowsPlan {
  int columns = 0;  // of a product
  int ring_rows = 0, patch_w = 0, tile_floats = 0;
  int patch_bytes = 0, staging_bytes = 0, weight_bytes = 0;
  int teams = 0;  // as many warpgroups as shared memory has room for
  int shared_bytes(int some) const {
    return weight_bytes + some * (patch_bytes + staging_bytes) + kPastRowsPatch;
  }
};
RowsPlan plan_rows(const PatchPlan& plan, int channels, bool half);

}  // namespace facegen::cuda::hopper
