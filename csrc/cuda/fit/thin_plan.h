// conv2d and conv_transpose2d with 1 to 4 output channels: how such a layer is cut for thin_gemm.cu.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/fit/igemm_plan.h"

namespace facegen::cuda {

constexpr int kThinHeight = 16, kThinWidth = 32;  // outputs of a tile
constexpr int kMaxThinColumns = 4;

struct ThinPhase {
  IgemmPhase rows;
  int32_t top, left;                   // smallest tap offsets
  int32_t patch_height, patch_width;
  int32_t patch_pitch;                 // floats of a channel; odd, so that channels differ in bank
  int32_t tiles_y, tiles_x;
  int64_t weights;                     // float4: (run of channels, tap, channel)
};

struct ThinPlan {
  IgemmPlan gemm;
  std::vector<ThinPhase> phases;  // empty where the layer does not suit the kernel
  int channels = 0;               // at once
  int64_t shared_floats = 0;
};
// `layout`: of the input.
ThinPlan plan_thin(const Step& step, const Layout& layout);

}  // namespace facegen::cuda
