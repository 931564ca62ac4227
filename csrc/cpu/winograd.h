// Winograd's convolution: convolutions, and the phases of transposed ones, with fewer
// multiplications than their definition has.
//
// m neighbouring outputs of a filter of r taps need not m * r products but m + r - 1 (Winograd 1980;
// Lavin & Gray 2016), one a point; winograd_transform.h has the matrices. With 2 outputs a tile:
//
//   3 taps:  v0 = d2 - d0    u0 = -g0                    y0 = m0 + m1 + m2
//            v1 = d1 + d2    u1 = (g0 + g1 + g2) / 2     y1 = m1 - m2 + m3
//            v2 = d2 - d1    u2 = (g0 - g1 + g2) / 2
//            v3 = d3 - d1    u3 = g2                     where m = u * v
//
// On both axes at once, a tile of 2 x 2 outputs takes 16 products a channel for 36 of a 3x3
// convolution and 36 for 100 of a 5x5 one, a tile of 4 x 4 takes 36 for 144 of a 3x3 one. The four
// phases (3x3, 3x2, 2x3, 2x2) of a 5x5 transposed convolution of stride 2 are four such convolutions.
//
// A convolution of stride s reads s x s grids of input pixels, each with every s-th tap: a sum of
// s * s convolutions of stride 1. They share their outputs, so their products are added up before
// they are transformed.
//
// The products are summed over the channels (and grids) first, so each point (one m) is a matrix
// product:
//
//   M[point] (tile, output channel) = V[point] (tile, input channel) * U[point] (input, output)
//
// Rows are the tiles of all images, so that small maps fill the micro-tiles. A task is a block of
// tiles times some weight panels of one part (a phase, or many that read alike): for each grid, each
// stretch of channels and each row of points, some row tiles' patches are transformed straight into
// panels of A, one a point, which multiply the weights U, transformed and packed once. M stays in L2
// until it is transformed to the outputs.
//
// docs/accuracy.md has the errors. A value that is not finite reaches the whole tiles of the
// outputs that read it.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "program.h"

namespace facegen::cpu {

class Winograd final : public Gemm {
 public:
  // Outputs of a tile on an axis, 2 or 4; 0 where the layer does not suit or, unless the step asks for
  // this algorithm, IndirectGemm is faster.
  // The answer depends on the layer alone, not on the batch: so do the bits of the results.
  static int tile_outputs(const Step& step, const Kernels& kernels);
  static bool suits(const Step& step, const Kernels& kernels) {
    return step.finish == nullptr && tile_outputs(step, kernels) > 0;
  }

  // `step` need not outlive the constructor except its epilogue's constants and bias.
  Winograd(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override;
  Costs costs() const override;

 private:
  // One axis of a grid of input pixels: output o reads  o * step + low + t * spacing,  t < taps.
  struct AxisGrid {
    int low, taps;
  };
  // One axis of a part, cut into tiles of outputs that are `dilation` apart.
  struct Tiles {
    std::vector<int> first_output;  // (tiles)
    std::vector<AxisGrid> grids;
    int dilation, step, taps;  // taps: of the grid with most
    int spacing() const { return step * dilation; }
    int64_t count() const { return static_cast<int64_t>(first_output.size()); }
  };
  // One grid, one stretch of channels and one row of points.
  struct Block {
    int row;
    AxisGrid y, x;
    int points;  // along x whose weights are not all zero
    bool accumulate;
    int first_channel, channels;
    int64_t weights;  // byte offset in packed_, of the row's first point
  };
  // A phase, or several that share a transform of the input: their columns stand side by side.
  struct Part {
    std::vector<Phase> phases;
    Tiles y, x;
    std::vector<Block> blocks;
    int64_t tiles() const { return y.count() * x.count(); }
  };
  // A product of few rows takes the time of reading its weights, at batch 1: as long as so many rows.
  // A core of an AMD EPYC, family 26, reads 33 GB/s: a line in the time of 16 multiply-adds of vectors.
  static constexpr int64_t kFewestRows = 16;
  struct Task {
    const Part* part;
    int64_t tile_begin, tile_end;  // over (image, tile y, tile x)
    int panel_begin, panel_end;
  };

  // How the tiles and the weight panels of each part are cut into tasks; only speed depends on it.
  struct Cut {
    int64_t tile_parts, panel_parts;
  };
  struct Position;
  struct Run;

  static Tiles cut_axis(const Axis& axis, int outputs);
  static std::vector<Part> lay_out(const Step& step, int outputs);
  int points(const Tiles& tiles) const { return outputs_ + tiles.taps - 1; }
  void add_blocks(Part& part);
  void pack_block(const Part& part, const Block& block, const Weights& weights);
  std::vector<Run> runs(const Task& task) const;
  Cut cut_tasks(int64_t images, int threads) const;
  void run_task(const Task& task, Images in, Images out, Images add) const;
  void find_pixels(const Task& task, const Block& block, Images in, const float** pixels) const;
  void multiply_block(const Task& task, const Block& block, const Block& next,
                      const float* const* pixels, float* products) const;
  const char* weights(const Task& task, const Block& block, int point) const;
  void finish(const Task& task, const float* products, Images out, Images add) const;
  int64_t columns(const Task& task) const;
  int64_t point_stride(const Task& task) const;

  const Kernels& kernels_;
  View in_, out_;
  Epilogue epilogue_;
  const float* bias_;
  int kernel_w_;
  int outputs_;           // of a tile on an axis: 2 or 4
  int panels_;            // weight panels of a part
  int stretch_channels_;  // of all stretches but the last
  std::vector<Part> parts_;
  AlignedArray<char> packed_;
  int64_t packed_bytes_ = 0;
  std::vector<float> zeros_;  // (input channels): a pixel outside the input
};

}  // namespace facegen::cpu
