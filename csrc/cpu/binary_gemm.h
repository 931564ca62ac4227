// conv2d and linear layers of signs: weights and inputs that are +1 and -1 alone (Courbariaux et al. 2016,
// "Binarized Neural Networks"; Rastegari et al. 2016, "XNOR-Net").
//
// The input's signs are packed, a bit each, once for the whole map. Then it is an indirect GEMM: a row of
// A is the codes of the pixels under an output's taps, one behind the other, and rows meet panels of
// columns (binary_kernels.h). A tap outside the input reads codes of zeros, all positive: what it adds,
// the sum of its weights, is known and taken off. So padding counts as 0, as in other layers.
//
// Sums are whole numbers and exact: the result has the same bits on all processors, as long as what the
// epilogue does is exact too.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/pixel_writer.h"
#include "program.h"

namespace facegen::cpu {

class BinaryGemm final : public Gemm {
 public:
  static bool suits(const Step& step, const Kernels& kernels);

  // `step` need not outlive the constructor except its bias and its epilogue's constants.
  BinaryGemm(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override;
  Costs costs() const override;

 private:
  // Rows of outputs of all images of a batch, and panels of columns.
  struct Task {
    int64_t row_begin, row_end;
    int panel_begin, panel_end;
  };

  void run_task(const Task& task, const uint8_t* codes, Images out, Images add) const;
  void gather(const Task& task, const uint8_t* codes, uint8_t* rows, int32_t* signs,
              std::vector<int>& outside) const;
  void finish(const Task& task, const float* sums, Images out, Images add) const;
  int taps() const { return y_.taps * x_.taps; }

  const BinaryKernels& binary_;
  View in_;
  Axis y_, x_;
  PixelWriter writer_;
  int kernel_w_;
  int64_t pixel_bytes_, row_bytes_;
  int panels_;
  AlignedArray<uint8_t> packed_;     // (panels, panel_bytes)
  AlignedArray<float> tap_sums_;     // (taps, panels * panel_columns): of a tap's weights
};

}  // namespace facegen::cpu
