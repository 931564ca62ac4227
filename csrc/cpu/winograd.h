// Winograd's convolution: stride-1 convolutions, and the phases of transposed ones, with fewer
// multiplications than their definition has.
//
// Two neighbouring outputs of a filter of 3 taps, y0 = d0 g0 + d1 g1 + d2 g2 and
// y1 = d1 g0 + d2 g1 + d3 g2, need not 6 products but the 4 of F(2,3) (Winograd 1980; Lavin & Gray
// 2016); of a filter of 2 taps not 4 but the 3 of F(2,2):
//
//   3 taps:  m0 = (d0 - d2) g0                    y0 = m0 + m1 + m2
//            m1 = (d1 + d2) (g0 + g1 + g2) / 2    y1 = m1 - m2 - m3
//            m2 = (d2 - d1) (g0 - g1 + g2) / 2
//            m3 = (d1 - d3) g2
//   2 taps:  m0 = (d0 - d1) g0                    y0 = m0 + m1
//            m1 = d1 (g0 + g1)                    y1 = m1 + m2
//            m2 = (d2 - d1) g1
//
// On both axes at once, a tile of 2 x 2 outputs reads a patch of up to 4 x 4 pixels and takes up
// to 16 products a channel, for 36 of a 3x3 convolution. The four phases (3x3, 3x2, 2x3, 2x2) of
// a 5x5 transposed convolution of stride 2 take 16 + 12 + 12 + 9 = 49 for 100.
//
// The products are summed over the channels first, so each point (one m) is a matrix product:
//
//   M[point] (tile, output channel) = V[point] (tile, input channel) * U[point] (input, output)
//
// Rows are the tiles of all images, so that small maps fill the micro-tiles. A task is a block of
// tiles times some weight panels of one phase: for each row of points and each stretch of
// channels, a row tile's patches are transformed straight into panels of A, one a point, which
// multiply the weights U, transformed and packed once. M stays in L2 until it is transformed to
// the outputs.
//
// Errors are 1.3 to 1.5 times those of the definition (docs/accuracy.md). A value that is not
// finite reaches the whole 2 x 2 tiles of the outputs that read it.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "program.h"

namespace facegen::cpu {

class Winograd {
 public:
  // Whether this way of computing fits the layer and is faster than Gemm. The answer depends on
  // the layer alone, not on the batch: so do the bits of the results.
  static bool suits(const Step& step, const Kernels& kernels);

  // Transforms and packs the weights; `step` need not outlive the constructor except its
  // epilogue's constants and bias.
  Winograd(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const;

 private:
  // One axis of a phase, cut into tiles of two outputs: o and o + dilation.
  struct Tiles {
    std::vector<int> first_output;  // (tiles)
    int dilation, taps, low;        // output o reads the inputs o + low + t * dilation
    int out, out_origin, out_step;
    int points() const { return taps + 1; }
    int64_t count() const { return static_cast<int64_t>(first_output.size()); }
  };
  // One row of points and one stretch of channels.
  struct Block {
    int row, first_channel, channels;
    int64_t weights;  // byte offset in packed_, of the row's first point
  };
  struct Part {  // a phase
    Tiles y, x;
    std::vector<Block> blocks;
    int64_t tiles() const { return y.count() * x.count(); }
  };
  struct Task {
    const Part* part;
    int64_t tile_begin, tile_end;  // over (image, tile y, tile x)
    int panel_begin, panel_end;
  };

  struct Position;

  static Tiles cut_axis(const Axis& axis);
  void add_blocks(Part& part);
  void pack_weights(const Part& part, const Phase& phase, const Step& step);
  void run_task(const Task& task, Images in, Images out, Images add) const;
  void find_pixels(const Task& task, Images in, const float** pixels) const;
  void multiply_block(const Task& task, const Block& block, const float* const* pixels,
                      float* products) const;
  void finish(const Task& task, const float* products, Images out, Images add) const;
  int64_t columns(const Task& task) const;
  int64_t point_stride(const Task& task) const;

  const Kernels& kernels_;
  View in_, out_;
  Epilogue epilogue_;
  const float* bias_;
  int panels_;            // weight panels of one phase
  int stretch_channels_;  // of all stretches but the last
  std::vector<Part> parts_;
  AlignedArray<char> packed_;
  int64_t packed_bytes_ = 0;
  std::vector<float> zeros_;  // (input channels): a pixel outside the input
};

}  // namespace facegen::cpu
