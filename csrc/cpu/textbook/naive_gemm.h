// The definition, loop by loop: what every other algorithm has to equal.
//
//   y[oy, ox, n] = sum over ty, tx, c of  x[iy(oy, ty), ix(ox, tx), c] * w[n, ty, tx, c]
//
// One multiplication and one addition at a time, in this order, in float32: OH * OW * N * KH * KW * C
// of each, less what falls outside the input. The sum is one chain, so that each addition waits for
// the one before: 4 cycles or so, in which the tile of registers (isa/gemm_tile.h) does 64 of them.
// Nothing is copied, no memory is needed. For learning, and as an oracle; `auto` never takes it.
//
// iy and ix are those of an Axis (program.h), so that this is also the definition of a transposed
// convolution, each phase of whose outputs meets its own taps, and of a linear layer.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/pixel_writer.h"

namespace facegen::cpu {

class NaiveGemm final : public Gemm {
 public:
  // `step` need not outlive the constructor except its epilogue's constants and bias.
  NaiveGemm(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override;
  Costs costs() const override;

 private:
  void run_pixel(const Phase& phase, int oy, int ox, const float* in, float* sums) const;

  View in_;
  int kernel_h_, kernel_w_;
  std::vector<Phase> phases_;
  std::vector<float> weights_;  // (outputs, taps, inputs)
  PixelWriter writer_;
};

}  // namespace facegen::cpu
