#include "cpu/training/augment.h"

#include <algorithm>

#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Pixels of a task: some ten microseconds.
constexpr int64_t kTaskPixels = 4096;

Warp warp_of(const WarpBatch& batch, int64_t image) {
  Warp warp = batch.warp;
  warp.matrix = batch.matrices + 9 * image;
  warp.lens = batch.lenses[image];
  return warp;
}

int64_t in_floats(const Warp& warp) {
  return int64_t{1} * warp.height * warp.width * warp.channels;
}

}  // namespace

void warp(const WarpBatch& batch, const TrainingKernels& kernels, const float* in, int threads,
          float* out) {
  const int64_t row_floats = int64_t{1} * batch.warp.out_width * batch.warp.channels;
  const int64_t height = batch.warp.out_height;
  const int64_t rows = std::max<int64_t>(1, kTaskPixels / batch.warp.out_width);
  const int64_t parts = divide_up(height, rows);
  parallel_for(batch.images * parts, threads, [&](int64_t task, int) {
    const int64_t image = task / parts, first = task % parts * rows;
    const Warp one = warp_of(batch, image);
    for (int64_t y = first; y < std::min(height, first + rows); ++y) {
      kernels.warp_row(one, in + image * in_floats(one), static_cast<int>(y),
                       out + (image * height + y) * row_floats);
    }
  });
}

void warp_adjoint(const WarpBatch& batch, const TrainingKernels& kernels, const float* out,
                  int threads, float* in) {
  const int64_t row_floats = int64_t{1} * batch.warp.out_width * batch.warp.channels;
  const int64_t height = batch.warp.out_height;
  parallel_for(batch.images, threads, [&](int64_t image, int) {
    const Warp one = warp_of(batch, image);
    float* const picture = in + image * in_floats(one);
    std::fill_n(picture, in_floats(one), 0.0f);
    for (int64_t y = 0; y < height; ++y) {
      kernels.warp_row_adjoint(one, out + (image * height + y) * row_floats, static_cast<int>(y),
                               picture);
    }
  });
}

void colour_sums(int64_t images, int64_t pixels, const TrainingKernels& kernels, const float* in,
                 int threads, double* sums) {
  parallel_for(images, threads, [&](int64_t image, int) {
    kernels.colour_sums(in + 3 * pixels * image, pixels, sums + 3 * image);
  });
}

void recolour(int64_t images, int64_t pixels, const TrainingKernels& kernels, const float* in,
              const float* matrices, int threads, float* out) {
  const int64_t parts = divide_up(pixels, kTaskPixels);
  parallel_for(images * parts, threads, [&](int64_t task, int) {
    const int64_t image = task / parts, first = task % parts * kTaskPixels;
    const int64_t at = 3 * (pixels * image + first);
    kernels.recolour(in + at, std::min(kTaskPixels, pixels - first), matrices + 12 * image, out + at);
  });
}

}  // namespace facegen::cpu
