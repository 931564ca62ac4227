#include "cpu/textbook/naive_gemm.h"

#include "cpu/memory.h"
#include "threads.h"

namespace facegen::cpu {

NaiveGemm::NaiveGemm(const Step& step, const Kernels& kernels)
    : in_(step.in),
      kernel_h_(step.kernel_h),
      kernel_w_(step.kernel_w),
      phases_(step.phases, step.phases + step.phase_count),
      writer_(step, kernels) {}

void NaiveGemm::pack(const Weights& weights, int) {
  weights_.clear();
  for (int64_t n = 0; n < writer_.out.c; ++n) {
    for (int64_t tap = 0; tap < int64_t{kernel_h_} * kernel_w_; ++tap) {
      for (int64_t c = 0; c < in_.c; ++c) {
        weights_.push_back(weights.data[n * weights.output_stride + tap * weights.tap_stride +
                                        c * weights.input_stride]);
      }
    }
  }
}

// A task is a row of outputs of one phase of an image.
void NaiveGemm::run(int64_t images, Images in, Images out, Images add, int threads) const {
  for (const Phase& phase : phases_) {
    const auto &y = phase.y, &x = phase.x;  // Clang 14 captures no structured bindings
    parallel_for(images * y.out, threads, [&](int64_t task, int) {
      static thread_local Scratch scratch;
      float* const sums = scratch.get<float>(writer_.out.c);
      const int64_t image = task / y.out;
      const auto oy = static_cast<int>(task % y.out);
      for (int ox = 0; ox < x.out; ++ox) {
        run_pixel(phase, oy, ox, in.data + image * in.image_stride, sums);
        writer_.write(sums, out, add, image, y.out_origin + int64_t{oy} * y.out_step,
                      x.out_origin + int64_t{ox} * x.out_step, 0, writer_.out.c);
      }
    });
  }
}

void NaiveGemm::run_pixel(const Phase& phase, int oy, int ox, const float* in, float* sums) const {
  const auto& [y, x] = phase;
  const int64_t taps = int64_t{kernel_h_} * kernel_w_;
  for (int64_t n = 0; n < writer_.out.c; ++n) {
    float sum = 0.0f;
    for (int ty = 0; ty < y.taps; ++ty) {
      const int64_t iy = int64_t{oy} * y.step + int64_t{ty} * y.dir + y.base;
      if (iy < 0 || iy >= in_.h) continue;
      for (int tx = 0; tx < x.taps; ++tx) {
        const int64_t ix = int64_t{ox} * x.step + int64_t{tx} * x.dir + x.base;
        if (ix < 0 || ix >= in_.w) continue;
        const int64_t tap = int64_t{y.first_tap + ty * y.tap_step} * kernel_w_ + x.first_tap +
                            int64_t{tx} * x.tap_step;
        const float* const pixel = in + (iy * in_.w + ix) * in_.pixel_stride;
        const float* const weight = weights_.data() + (n * taps + tap) * in_.c;
        for (int c = 0; c < in_.c; ++c) sum += pixel[c] * weight[c];
      }
    }
    sums[n] = sum;
  }
}

Costs NaiveGemm::costs() const {
  return {4 * writer_.out.c, int64_t{4} * writer_.out.c * kernel_h_ * kernel_w_ * in_.c, 0};
}

}  // namespace facegen::cpu
