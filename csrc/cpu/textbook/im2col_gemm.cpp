#include "cpu/textbook/im2col_gemm.h"

#include <algorithm>

#include "algorithms.h"
#include "cpu/memory.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Of a product by Strassen's algorithm, at least one.
int levels_of(const Step& step) {
  if (step.algorithm != Algorithm::kStrassen) return 0;
  const int64_t rows = int64_t{step.out.h} * step.out.w;
  return std::max(1, strassen_levels(rows, im2col_depth(step), step.out.c));
}

}  // namespace

bool Im2colGemm::suits(const Step& step, const Kernels& kernels) {
  return step.finish == nullptr && kernels.products == Products::kFloat32 && im2col_takes(step);
}

Im2colGemm::Im2colGemm(const Step& step, const Kernels& kernels)
    : in_(step.in),
      kernel_h_(step.kernel_h),
      kernel_w_(step.kernel_w),
      phases_(step.phases, step.phases + step.phase_count),
      depth_(im2col_depth(step)),
      product_(depth_, step.out.c, levels_of(step), kernels),
      writer_(step, kernels) {}

void Im2colGemm::pack(const Weights& weights, int threads) {
  const int64_t taps = int64_t{kernel_h_} * kernel_w_;
  static thread_local Scratch scratch;
  float* const rows = scratch.get<float>(writer_.out.c * depth_);  // (N, K)
  float* to = rows;
  for (int64_t n = 0; n < writer_.out.c; ++n) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      const float* const from =
          weights.data + n * weights.output_stride + tap * weights.tap_stride;
      for (int64_t c = 0; c < in_.c; ++c) *to++ = from[c * weights.input_stride];
    }
  }
  product_.pack(rows, 1, depth_, threads);
}

void Im2colGemm::run(int64_t images, Images in, Images out, Images add, int threads) const {
  static thread_local Scratch scratch;
  float* const a = scratch.get<float>(rows() * depth_);
  for (int64_t image = 0; image < images; ++image) {
    const float* const from = in.data + image * in.image_stride;
    for (const Phase& phase : phases_) {
      const auto &y = phase.y, &x = phase.x;  // Clang 14 captures no structured bindings
      parallel_for(y.out, threads, [&](int64_t oy, int) {
        const int64_t first = (y.out_origin + oy * y.out_step) * writer_.out.w + x.out_origin;
        for (int ox = 0; ox < x.out; ++ox) {
          write_row(phase, static_cast<int>(oy), ox, from,
                    a + (first + int64_t{ox} * x.out_step) * depth_);
        }
      });
    }
    product_.run(rows(), a, depth_, threads,
                 [&](int64_t row, int first, int columns, const float* sums) {
                   writer_.write(sums, out, add, image, row / writer_.out.w, row % writer_.out.w,
                                 first, columns);
                 });
  }
}

// row: (kernel_h, kernel_w, C)
void Im2colGemm::write_row(const Phase& phase, int oy, int ox, const float* in, float* row) const {
  const auto& [y, x] = phase;
  std::fill_n(row, depth_, 0.0f);
  for (int ty = 0; ty < y.taps; ++ty) {
    const int64_t iy = int64_t{oy} * y.step + int64_t{ty} * y.dir + y.base;
    if (iy < 0 || iy >= in_.h) continue;
    for (int tx = 0; tx < x.taps; ++tx) {
      const int64_t ix = int64_t{ox} * x.step + int64_t{tx} * x.dir + x.base;
      if (ix < 0 || ix >= in_.w) continue;
      const int64_t tap = int64_t{y.first_tap + ty * y.tap_step} * kernel_w_ + x.first_tap +
                          int64_t{tx} * x.tap_step;
      std::copy_n(in + (iy * in_.w + ix) * in_.pixel_stride, in_.c, row + tap * in_.c);
    }
  }
}

Costs Im2colGemm::costs() const {
  Costs costs = product_.costs(rows());
  costs.scratch_bytes += 4 * rows() * depth_;
  return costs;
}

}  // namespace facegen::cpu
