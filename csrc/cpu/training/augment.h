// Augmentation: batches of pictures resampled and recoloured, and the way back of gradients.
#pragma once

#include <cstdint>

#include "cpu/training/kernels.h"

namespace facegen::cpu {

// Pictures (n, height, width, channels) of one size to (n, out_height, out_width, channels).
struct WarpBatch {
  int64_t images;
  Warp warp;              // but for its matrix and lens, which are each image's own:
  const float* matrices;  // (n, 3, 3)
  const float* lenses;    // (n)
};

void warp(const WarpBatch& batch, const TrainingKernels& kernels, const float* in, int threads,
          float* out);

// The adjoint: `in`, gradients of the pictures, gets the sums of what every pixel of the gradient
// `out` took there. A picture is one thread's, so the order of its sums is always the same.
void warp_adjoint(const WarpBatch& batch, const TrainingKernels& kernels, const float* out,
                  int threads, float* in);

// Sums of each picture's colours, (n, 3); of pictures of three.
void colour_sums(int64_t images, int64_t pixels, const TrainingKernels& kernels, const float* in,
                 int threads, double* sums);

// Matrices (n, 3, 4), applied to (r, g, b, 1). `out` may be `in`.
void recolour(int64_t images, int64_t pixels, const TrainingKernels& kernels, const float* in,
              const float* matrices, int threads, float* out);

}  // namespace facegen::cpu
