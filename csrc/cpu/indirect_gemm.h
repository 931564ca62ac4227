// The indirect GEMM: conv2d, conv_transpose2d and linear as one blocked matrix product whose rows
// of A are found by arithmetic on coordinates. docs/kernels.md draws it.
//
//   C (rows: image, oy, ox; columns: phase, output channel)
//     += A (row, tap, input channel)  *  B (tap, input channel; phase, output channel)
//
// The reduction is cut into stretches: one tap (or a few, where there are few channels) with up to
// kMaxDepth channels. A stretch multiplies only those rows whose taps read inside the input, so
// padding costs nothing at any map size; and it multiplies a gathered panel of A with the weights
// of every phase that reads the same input pixels, so a transposed convolution gathers each input
// pixel once for all its phases.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "program.h"

namespace facegen::cpu {

class IndirectGemm final : public Gemm {
 public:
  // `step` need not outlive the constructor except its epilogue's constants and bias.
  IndirectGemm(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override;
  Costs costs() const override;

 private:
  // A tap by its number on each axis, or the input position it reads relative to output * step.
  struct Tap {
    int dy, dx;
  };
  // Phases that read the same pixels, their columns one after another.
  struct Bundle {
    std::vector<Phase> phases;
    int first_panel, panels;
    int64_t products;  // of a column, in one image
    bool zeroed;       // its columns of C must start from zero
    int panel_end() const { return first_panel + panels; }
    int columns(int channels) const { return static_cast<int>(phases.size()) * channels; }
  };
  // A bundle's weights for one stretch.
  struct Use {
    int bundle;             // index in Group::bundles
    std::vector<Tap> taps;  // of the weights, by number
    int64_t weights;        // byte offset in packed_
    bool overwrite;         // first to write this bundle's columns, and on every row
  };
  struct Block {
    Stretch stretch;
    int first_channel;
    std::vector<Tap> taps;
    std::vector<Use> uses;
    std::vector<float> channel_scale;  // (depth), or empty; see scale_channels
  };
  // Phases with equal output sizes share rows and gathered panels.
  struct Group {
    int out_h, out_w, step_y, step_x;
    std::vector<Bundle> bundles;
    std::vector<Block> blocks;
    int panels() const { return bundles.back().panel_end(); }
    int first_panel(int64_t part, int64_t parts) const;
  };
  // A rectangle of C: rows of all images in a batch, weight panels of all bundles of a group.
  struct Task {
    const Group* group;
    int64_t row_begin, row_end;
    int panel_begin, panel_end;
  };
  struct Rows;

  void merge_row_taps(Phase& phase);
  void add_phase(const Phase& phase);
  void add_blocks(Group& group);
  void pack_use(const Group& group, const Block& block, const Use& use, const Weights& weights);
  void scale_channels(const Group& group, Block& block, const Weights& weights) const;
  int64_t weight_at(const Weights& weights, const Phase& phase, Tap tap, int64_t channel) const;
  void run_task(const Task& task, Images in, Images out, Images add) const;
  int find_rows(const Task& task, const Block& block, Images in, Rows& rows) const;
  void multiply_block(const Task& task, const Block& block, const Rows& rows, int count,
                      float* c) const;
  void finish(const Task& task, const float* c, Images out, Images add) const;
  void finish_phase(const Task& task, const Phase& phase, int first, int last,
                    const float* sums, Images out, Images add) const;
  int64_t c_stride(const Task& task) const;

  const Kernels& kernels_;
  View in_, out_;
  Epilogue epilogue_;
  const float* bias_;
  int kernel_w_;
  int channels_;  // of a tap; in_ has those of a row of taps where these are merged
  int pad_left_ = 0, pad_right_ = 0;  // pixels of zeros that pad_rows adds to what comes in
  std::vector<Group> groups_;
  AlignedArray<char> packed_;
  int64_t packed_bytes_ = 0;
};

}  // namespace facegen::cpu
