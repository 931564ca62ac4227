// im2col: a convolution as one product of matrices, the first of which is written out.
//
//   y (pixels, N)  =  A (pixels, K) * w (K, N)          K = KH * KW * C
//
//   row (oy, ox) of A:  | x[iy0, ix0, :] | x[iy0, ix1, :] | ... |   one piece of C floats a tap
//
// Each pixel of the input is copied once for every tap that reads it: A has KH * KW / stride^2 times
// the numbers of the input, 9 times for a 3x3 filter. It is written to memory and read back, which is
// what the textbook's form costs; the product then runs at the rate of any other (matrix_product.h).
// IndirectGemm is the same product with the rows of A found where they are.
//
// A transposed convolution of stride s, in the textbook's form, is a convolution of the map with
// s - 1 zeros between its pixels. In A those zeros are the taps that an output does not meet: the
// pieces stay zero, and are multiplied. At stride 2 three of four products are by such zeros, which
// IndirectGemm's phases leave out. Here both kinds of layers are one: an output's phase (program.h)
// says which taps it meets, and the others are zeros. So are taps outside the input.
//
// Memory: A of one image at a time. Multiplications: OH * OW * KH * KW * C * N, zeros and all.
// For learning; `auto` never takes it.
//
// By the name "strassen" the product is Strassen's (strassen.h), of each image by itself: it halves
// the rows, and an image's bits may not depend on how many others there are.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/matrix_product.h"
#include "cpu/pixel_writer.h"

namespace facegen::cpu {

class Im2colGemm final : public Gemm {
 public:
  // Whether the matrix of an image is of a size that memory may be asked for.
  static bool suits(const Step& step, const Kernels& kernels);

  // `step` need not outlive the constructor except its epilogue's constants and bias.
  Im2colGemm(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override;
  Costs costs() const override;

 private:
  void write_row(const Phase& phase, int oy, int ox, const float* in, float* row) const;
  int64_t rows() const { return int64_t{writer_.out.h} * writer_.out.w; }

  View in_;
  int kernel_h_, kernel_w_;
  std::vector<Phase> phases_;
  int64_t depth_;  // K
  MatrixProduct product_;
  PixelWriter writer_;
};

}  // namespace facegen::cpu
