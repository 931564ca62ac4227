// conv2d and conv_transpose2d of few input channels on Hopper (hopper_patch.cu): how such a layer
// is cut.
#pragma once

#include <cstdint>
#include <vector>

#include "program.h"

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

inline bool patch_suits(const Step& step) { return !plan_patch(step).groups.empty(); }

}  // namespace facegen::cuda::hopper
