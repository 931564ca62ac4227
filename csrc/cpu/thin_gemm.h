// conv2d and conv_transpose2d with 1 to 4 output channels: no GEMM, pixels in lanes.
//
// A task is a strip of output rows of one image. Its input rows are transposed to channel-major
// order a few channels at a time, so that those channels stay in L1 while every phase and tap reads
// them; the strip's sums wait in L2 in between.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "program.h"

namespace facegen::cpu {

class ThinGemm final : public Gemm {
 public:
  // Whether this way of computing fits the layer: few columns, neighbouring outputs read
  // neighbouring inputs, and rows long enough to fill a vector.
  static bool suits(const Step& step, const Kernels& kernels);

  // `step` need not outlive the constructor except its epilogue's constants and bias.
  ThinGemm(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override;
  Costs costs() const override;

 private:
  struct PhaseWeights {
    Phase phase;
    std::vector<int64_t> tap_offset;  // (taps): floats within a transposed strip
    int64_t weights;                  // offset in weights_
  };
  // Output rows first .. last - 1 of every phase.
  void run_strip(Images in, Images out, int64_t image, int first, int last) const;
  // Some channels of the input rows that the strip reads.
  void transpose_strip(Images in, int64_t image, int first, int last, int first_channel,
                       int channels, float* strip) const;
  void multiply_strip(const PhaseWeights& p, const float* strip, int rows, int first_channel,
                      int channels, float* sums) const;
  void finish_strip(const PhaseWeights& p, float* sums, Images out, int64_t image, int first,
                    int rows) const;
  void activate(float* sums) const;
  void write(const PhaseWeights& p, const float* sums, Images out, int64_t image, int oy, int ox,
             int count) const;
  int64_t tile_floats() const;                         // sums of one tile
  int row_vectors(const PhaseWeights& p) const;        // vectors of one output row
  int64_t tiles(const PhaseWeights& p, int rows) const;  // tiles of `rows` output rows

  const Kernels& kernels_;
  View in_, out_;
  Epilogue epilogue_;
  const float* bias_;
  int kernel_w_;
  int out_h_ = 0, out_w_ = 0;      // the largest over the phases
  int top_ = 0, left_ = 0;         // rows and columns read before position 0 ...
  int bottom_ = 0, right_ = 0;     // ... and after the last output's own position
  int strip_rows_ = 0;             // output rows computed from one transposed strip
  int64_t row_stride_ = 0;         // floats of one row of one channel of a strip
  int64_t channel_stride_ = 0;
  std::vector<PhaseWeights> phases_;
  AlignedArray<float> weights_;
};

}  // namespace facegen::cpu
