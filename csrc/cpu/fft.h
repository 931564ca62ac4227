// Convolution by the fast Fourier transform: the products of a large filter become one multiplication
// a frequency.
//
// The transform of a circular convolution is the product of the transforms. So of a tile of T x T
// numbers of the input and a filter of R x R taps,
//
//   y = F^-1 ( F x * F w ),        T log T operations for each F, T * T multiplications between them
//
// of which the (T - R + 1)^2 outputs whose windows lie inside the tile are those of the convolution;
// the others have wrapped round its edges and are dropped. Neighbouring tiles overlap by R - 1 pixels
// of the input (overlap-save). The other way, overlap-add, overlaps the outputs: tiles would have to
// be added up in memory before bias and activation, in an order that no thread may change. Here each
// output belongs to one tile, is written once, and tasks share nothing; a second look at some inputs
// is cheap.
//
// The transforms are sums over pixels, channel by channel; the products are summed over the input
// channels before they are transformed back. So each frequency is a matrix product, as each point of
// Winograd's convolution is (winograd.h), of complex numbers:
//
//   M[f] (tile, output channel) = V[f] (tile, input channel) * U[f] (input, output)
//
// taken as three real ones (Gauss), each on the register tile that all others use:
//
//   k1 = (Vr + Vi) Ur    k2 = Vr (Ui - Ur)    k3 = Vi (Ur + Ui)      M = (k1 - k3) + i (k1 + k2)
//
// Maps are real: T * T / 2 + 2 frequencies are enough (isa/fft_ops.h).
//
//   multiplications an output and pair of channels: 3 (T * T / 2 + 2) / (T - R + 1)^2
//     R        3     5     7    11    15    31
//     T = 16   2.0   2.7   3.9  10.8  97
//     T = 32   1.7   2.0   2.3   3.2   4.8  386
//     T = 64   1.6   1.7   1.8   2.1   2.5   5.3
//     R * R    9    25    49   121   225   961
//
// For that the transforms cost additions, each channel has T * T / 2 times 3 weights instead of R * R,
// and whole tiles are computed where a map has part of one. It pays for large filters on maps that
// are not small, with enough channels to share the transforms: fft_layout.cpp has the rule.
//
// A run takes some tiles of the batch at a time, so that V and M stay in the outer cache, in three
// loops: tiles are transformed, frequencies multiplied, tiles transformed back. A frequency's weights
// are read once for all these tiles.
//
// Errors (docs/learn/algorithms.md): small, but relative to the whole tile and not to an output.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/pixel_writer.h"

namespace facegen::cpu {

class Fft final : public Gemm {
 public:
  // Numbers of a tile on an axis: 16, 32 or 64; 0 where the layer does not suit or, unless the step
  // asks for this algorithm, another one is faster. The answer depends on the layer alone.
  static int tile_size(const Step& step, const Kernels& kernels);
  static bool suits(const Step& step, const Kernels& kernels) {
    return step.finish == nullptr && tile_size(step, kernels) > 0;
  }

  // `step` need not outlive the constructor except its epilogue's constants and bias.
  Fft(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override;
  Costs costs() const override;

 private:
  // Of the windows of all phases, along an axis: output o reads from o + low to o + low + span - 1.
  struct Reach {
    int low, span, outputs;
  };
  // Some channels of the input, whose products are summed up in registers.
  struct Stretch {
    int first, channels;
    int64_t weights;  // byte offset in packed_, of frequency 0
    int beside;       // panels of V side by side in the kMaxDepth floats of a row
    int64_t panels;   // first of V, in units of a row of kMaxDepth floats a tile
  };
  // The tiles of a run that are computed together.
  struct Block {
    int64_t first, tiles;
    float *v, *m;
  };
  static Reach reach(const Step& step, Axis Phase::*axis);
  int products() const { return 3 * frequencies_; }
  int64_t columns() const { return int64_t{panels_} * kernels_.panel_columns; }
  int64_t product_stride(int64_t tiles) const { return tiles * columns() + 16; }
  int64_t block_tiles(int64_t tiles) const;
  float* v_panel(const Block& block, const Stretch& stretch, int product) const;
  void transform(const Block& block, int64_t tile, const Stretch& stretch, Images in) const;
  void multiply(const Block& block, int product) const;
  void finish(const Block& block, int64_t tile, Images out, Images add) const;
  void pack_panel(int panel, const Weights& weights);

  View in_;
  int kernel_w_;
  std::vector<Phase> phases_;
  Reach y_, x_;
  int size_;                 // T
  int tile_h_, tile_w_;      // outputs of a tile
  int tiles_y_, tiles_x_;    // of an image
  int frequencies_, panels_;
  std::vector<Stretch> stretches_;
  int64_t v_rows_ = 0;  // of kMaxDepth floats, a tile
  const Kernels& kernels_;
  PixelWriter writer_;
  AlignedArray<char> packed_;
  int64_t packed_bytes_ = 0;
};

}  // namespace facegen::cpu
