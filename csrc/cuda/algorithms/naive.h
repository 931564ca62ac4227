// The definition, a thread for each output: what every other algorithm has to equal.
//
//   y[oy, ox, n] = sum over ty, tx, c of  x[iy(oy, ty), ix(ox, tx), c] * w[ty, tx, c, n]
//
//   thread i of a phase:  n = i % N,  ox, oy and the image from i / N
//
// A thread runs through its window in this order, one multiply-add after another. Nothing is kept: each
// multiply-add loads two numbers. The 32 threads of a warp have neighbouring n (where N has so many): they
// read one number of x, which the cache hands to all of them at once, and 32 neighbouring weights. So the
// caches are asked for 4 bytes a multiply-add and thread, where a tile of registers (igemm_fma.cu) asks
// shared memory for 1.5; and the sum is one chain, in which each multiply-add waits for the one before.
// Many warps hide that; nothing hides the loads.
//
// iy and ix are those of an Axis (program.h), so that this is also the definition of a transposed
// convolution, each phase of whose outputs meets its own taps, and of a linear layer. A phase is a launch.
//
// Memory: none. Multiplications: OH * OW * N * KH * KW * C, less what falls outside the input.
#pragma once

#include "cuda/algorithms/convolution.h"

namespace facegen::cuda::algorithms {

template <class Store>
struct NaiveOutput {
  static constexpr const char* kName = "naive";
  Map in;
  const float* weights;  // (kernel_h, kernel_w, c, n)
  Phase phase;
  int32_t kernel_w, out_c, out_w;
  Store store;

  FACEGEN_DEVICE void operator()(int64_t i) const {
    const int64_t output = quotient(i, out_c);
    const auto n = static_cast<int>(i - output * out_c);
    const Place place = place_of(phase, output);
    float sum = 0.0f;
    for (int ty = 0; ty < phase.y.taps; ++ty) {
      const int64_t iy = position_of(phase.y, place.y, ty);
      if (!is_inside(iy, in.h)) continue;
      for (int tx = 0; tx < phase.x.taps; ++tx) {
        const int64_t ix = position_of(phase.x, place.x, tx);
        if (!is_inside(ix, in.w)) continue;
        const int64_t tap_y = phase.y.first_tap + int64_t{ty} * phase.y.tap_step;
        const int64_t tap_x = phase.x.first_tap + int64_t{tx} * phase.x.tap_step;
        const float* x = in.data + place.image * in.image_stride + (iy * in.w + ix) * in.pixel_stride;
        const float* w = weights + (tap_y * kernel_w + tap_x) * in.c * out_c + n;
        for (int c = 0; c < in.c; ++c, w += out_c) sum = fmaf(x[c], *w, sum);
      }
    }
    store(place.image, pixel_of(phase, place.y, place.x, out_w), n, sum);
  }
};

class Naive {
 public:
  explicit Naive(const Step& step) : layer_(step) {}

  std::vector<float> weights(const Step& step) const { return weight_matrix(step); }
  int64_t scratch_floats() const { return 0; }

  template <class Executor, class Store>
  void run(const Executor& executor, const float* weights, const Map& in, int64_t images, float*,
           const Store& store) const {
    for (const Phase& phase : layer_.phases) {
      executor.each(images * phase.y.out * phase.x.out * layer_.out_c,
                    NaiveOutput<Store>{in, weights, phase, layer_.kernel_w, layer_.out_c, layer_.out_w,
                                       store});
    }
  }

 private:
  Convolution layer_;
};

}  // namespace facegen::cuda::algorithms
