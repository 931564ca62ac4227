// The indirect GEMM on Hopper: what its plan (gemm_plan.h) tells the kernel (gemm.cu).
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "cuda/fit/gemm_plan.h"
#include "cuda/operand.h"

namespace facegen::cuda::hopper {

// From a box to another, of input positions.
struct BoxOffset {
  int32_t x, y, n;
};

// The kernel's argument.
struct Arguments {
  CUtensorMap input;       // (plane, n, y, x, c)
  const uint8_t* weights;  // per group, tap, block of channels: hi (columns, 64), lo (columns, 64)
  const float *bias, *scale, *shift;  // (channels) or null
  const Tap* taps;
  const Group* groups;
  const Tile* tiles;
  const int32_t* tile_begin;  // (CTAs + 1): the tiles of each CTA
  int32_t tap_count;
  int32_t in_h, in_w, step_y, step_x;
  Box box;
  int32_t copied_bytes;  // of a plane of a copied box: fewer rows where there are few images
  BoxOffset second_box;  // from a tall tile's first half to its second
  int32_t images;
  Activation activation;
  float alpha, beta;
  Format out_format;
  void* out;
  // In elements. Row and column: from an output pixel of a phase to its next.
  int64_t out_image_stride, out_row_stride, out_col_stride, out_plane;
  Operand add;  // data is null where there is none
};

// `channels`: of the input.
void launch(const Arguments& arguments, Shape shape, bool half, int channels, int ctas,
            cudaStream_t stream);

// The output of a step from the slices of its split plan.
void add_slices(const Step& step, int slices, int64_t images, const Operands& operands,
                cudaStream_t stream);

}  // namespace facegen::cuda::hopper
