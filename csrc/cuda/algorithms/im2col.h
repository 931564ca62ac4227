// im2col: a convolution as one product of matrices, the first of which is written out.
//
//   y (pixels, N)  =  A (pixels, K) * w (K, N)          K = KH * KW * C
//
//   row (oy, ox) of A:  | x[iy0, ix0, :] | x[iy0, ix1, :] | ... |   C neighbouring numbers a tap
//
// Two launches: a thread for each number of A, which finds where it comes from and copies it; then the
// product in tiles (product.h), whose threads know nothing of windows any more. That is the gain: any
// routine for matrices will do. The price is memory, KH * KW / stride^2 times the input, written once and
// read back once for every 64 columns. igemm_fma.cu ("direct") makes the same product with A's tiles read
// where they lie in the input; there every fetch looks up its tap.
//
// A transposed convolution of stride s, in the textbook's form, is a convolution of the map with s - 1
// zeros between its pixels. Those zeros are the taps that an output does not meet (an Axis says which it
// does): zeros in A, and multiplied. At stride 2 they are three of four products. "direct" leaves them out.
//
// Memory: A of up to 8 images at a time. Multiplications: OH * OW * KH * KW * C * N, zeros and all.
#pragma once

#include <algorithm>

#include "cuda/algorithms/product.h"
#include "cuda/tensor.h"

namespace facegen::cuda::algorithms {

// The position that the kernel's tap r reads for output o; -1 outside the input, or where the phase does
// not meet that tap.
FACEGEN_DEVICE inline int64_t position_of_tap(const Axis& axis, int64_t o, int32_t r, int32_t size) {
  const int32_t from_first = r - axis.first_tap, t = from_first / axis.tap_step;
  if (t < 0 || t >= axis.taps || t * axis.tap_step != from_first) return -1;
  const int64_t position = position_of(axis, o, t);
  return is_inside(position, size) ? position : -1;
}

// A number of A, of a phase's outputs.
struct Im2colNumber {
  static constexpr const char* kName = "im2col's matrix";
  Map in;
  float* matrix;  // (images, out_h * out_w, depth)
  Phase phase;
  int64_t first_image, depth, pixels;
  int32_t kernel_w, out_w;

  FACEGEN_DEVICE void operator()(int64_t i) const {
    const int64_t output = quotient(i, depth), k = i - output * depth;
    const Place place = place_of(phase, output);
    const int64_t tap = quotient(k, in.c), c = k - tap * in.c;
    const int64_t tap_y = quotient(tap, kernel_w), tap_x = tap - tap_y * kernel_w;
    const int64_t iy = position_of_tap(phase.y, place.y, static_cast<int32_t>(tap_y), in.h);
    const int64_t ix = position_of_tap(phase.x, place.x, static_cast<int32_t>(tap_x), in.w);
    const float* image = in.data + (first_image + place.image) * in.image_stride;
    const int64_t row = place.image * pixels + pixel_of(phase, place.y, place.x, out_w);
    matrix[row * depth + k] =
        iy < 0 || ix < 0 ? 0.0f : image[(iy * in.w + ix) * in.pixel_stride + c];
  }
};

// A row of the product is a pixel of the map.
template <class Store>
struct StorePixels {
  Store store;
  int64_t first_image, pixels;

  FACEGEN_DEVICE void operator()(int64_t, int64_t row, int n, float sum) const {
    const int64_t image = quotient(row, pixels);
    store(first_image + image, row - image * pixels, n, sum);
  }
};

class Im2col {
 public:
  explicit Im2col(const Step& step) : layer_(step) {}

  std::vector<float> weights(const Step& step) const { return weight_matrix(step); }
  int64_t scratch_floats() const { return layer_.pixels() * layer_.depth(); }

  template <class Executor, class Store>
  void run(const Executor& executor, const float* weights, const Map& in, int64_t images, float* scratch,
           const Store& store) const {
    const int64_t depth = layer_.depth(), pixels = layer_.pixels();
    for (int64_t first = 0; first < images; first += kScratchImages) {
      const int64_t some = std::min(images - first, kScratchImages);
      for (const Phase& phase : layer_.phases) {
        executor.each(some * phase.y.out * phase.x.out * depth,
                      Im2colNumber{in, scratch, phase, first, depth, pixels, layer_.kernel_w,
                                   layer_.out_w});
      }
      const StorePixels<Store> put = {store, first, pixels};
      run_product(executor,
                  Product<StorePixels<Store>>{scratch, weights, some * pixels, depth, layer_.out_c, put},
                  1);
    }
  }

 private:
  Convolution layer_;
};

}  // namespace facegen::cuda::algorithms
