// conv2d and conv_transpose2d where a row of A is in the input as it is: a few runs of neighbouring
// floats (1x1, or the pixels under a row of taps), the same distance from row to row.
//
// Nothing is gathered and there is no block of C: a tile's sums stay in registers to the end, get
// their bias and activation there and are stored where they belong. For sums of moderate length,
// whose weights stay close without cutting them into stretches. The columns of phases that read
// alike stand side by side, as in IndirectGemm.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "program.h"

namespace facegen::cpu {

class DirectGemm final : public Gemm {
 public:
  static bool suits(const Step& step, const Kernels& kernels);

  // `step` need not outlive the constructor except its epilogue's constants and bias.
  DirectGemm(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override;
  Costs costs() const override;

  // The same line by line, for a caller who wants them one at a time: `in` is an image of what pad
  // returned, `out` the line's first pixel. Convolutions without a summand, of separate lines.
  static bool has_lines(const Step& step);
  Images pad(int64_t images, Images in, int threads) const;
  void run_line(int oy, const float* in, float* out) const;

 private:
  // Phases that read the same pixels.
  struct Bundle {
    std::vector<Phase> phases;
    int runs, run_floats;
    int panels;
    std::vector<int> first_run;  // (panels + 1)
    std::vector<LaneRun> lane_runs;
    int64_t weights;  // offset in weights_
    int64_t bias;     // offset in bias_
    int64_t panel_floats(int lanes) const { return int64_t{1} * runs * run_floats * lanes; }
  };
  // How a batch is cut: lines (rows of outputs, or the whole map), each in chunks.
  struct Pieces {
    int64_t images_a_line, lines, chunks;
    Images in, out, add;
  };
  // Outputs first .. last - 1 of a line, panels panel .. panel_end - 1.
  struct Rectangle {
    int64_t first, last;
    int panel, panel_end;
  };

  void add_phase(const Phase& phase);
  void lay_out(Bundle& bundle) const;
  void pack_bundle(const Bundle& bundle, const Weights& weights);
  void run_piece(const Pieces& pieces, int64_t task) const;
  void run_rows(const Bundle& bundle, int oy, const Rectangle& part, const float* in, float* out,
                const float* add) const;

  const Kernels& kernels_;
  View in_, out_;
  Epilogue epilogue_;
  const float* bias_source_;  // the step's
  int kernel_w_;
  bool has_bias_, same_pixels_;
  int pad_left_ = 0, pad_right_ = 0;  // pixels of zeros that pad_rows adds to what comes in
  int lines_ = 0, line_rows_ = 0;     // of an image: the largest over the bundles
  int64_t parts_ = 1;                 // that the panels are taken in
  std::vector<Bundle> bundles_;
  AlignedArray<float> weights_, bias_;
};

}  // namespace facegen::cpu
