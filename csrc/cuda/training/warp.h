// How pictures on a GPU are resampled: each by a matrix and a lens of its own, see csrc/cpu/isa/warp.h.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace facegen::cuda {

struct Warps {
  const float *matrices, *lenses;  // (images, 3, 3), (images)
  const int32_t* chosen;           // (images): which picture each is of; null: they are in order
  int64_t images;
  int32_t h, w, c;  // of pictures, and of results
  bool folded;      // what lies outside is mirrored in, else black
  bool cubic;       // 4 x 4 pixels a point, not 2 x 2
  int64_t pixels() const { return images * h * w; }
};

// to (images, h, w, c)
void run_warp(const Warps& warps, const float* from, float* to, cudaStream_t stream);

// The gradient in the pictures, of that in the results. As whole numbers, whose sums have no order: `sums`
// (images, h, w, c), made larger by `scales` (images).
void run_warp_adjoint(const Warps& warps, const float* from, int64_t* sums, double* scales, float* to,
                      cudaStream_t stream);

}  // namespace facegen::cuda
