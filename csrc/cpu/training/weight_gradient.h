// The gradient of a convolution's weight: a matrix product over the pixels of all images.
//
//   dW (output channel; tap, input channel)
//     = dY (pixel, output channel)^T  *  X (pixel under the tap, input channel)
//
// For a tap, the outputs that read inside the input lie in lines, as do the inputs that they read: a
// list of runs of pixels, both operands as they lie in memory (isa/outer_tile.h). Padding costs
// nothing; a transposed convolution is as many products as it has phases. Where X has too few channels
// to fill vectors and dY has enough, the block is computed transposed, dY in the lanes.
//
// A task is a block of dW (some taps of a phase, output channels, input channels). It goes through
// the images in chunks, through a chunk in blocks of pixels that stay in L2 while all its taps and
// tiles read them, and adds up chunks in a tree (tree.h). So the bits of the sum depend on the layer
// and the number of images alone.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels.h"
#include "cpu/training/kernels.h"
#include "training_program.h"

namespace facegen::cpu {

class WeightGradient {
 public:
  // The channels of x and dy that take part, whose first ones run() gets.
  WeightGradient(const TrainingStep& step, const View& x, const View& dy,
                 const TrainingKernels& kernels);

  // gradient: (output channels, kernel_h, kernel_w, input channels)
  void run(int64_t images, const float* x, const float* dy, float* gradient, int threads) const;

 private:
  // Outputs [y_first, y_last) x [x_first, x_last) of a phase read inside the input by this tap.
  struct Tap {
    int y_first, y_last, x_first, x_last;
    int64_t x_offset;  // floats from an image's start to what output (0, 0) reads
    int64_t weight;    // floats from an output channel's weights to the tap's
  };
  struct Part {
    Phase phase;
    std::vector<Tap> taps;
    int64_t block_images, block_lines;  // of a block of pixels: whole images, or lines of one
  };
  // Rows are broadcast, columns in lanes: output and input channels, or the other way round.
  struct Task {
    const Part* part;
    int64_t first_tap, last_tap;
    int first_row, last_row;
    int first_column, last_column;
    int64_t rows() const { return last_row - first_row; }
    int64_t columns() const { return last_column - first_column; }
  };

  void add_phase(const Phase& phase, int kernel_w);
  std::vector<Task> cut(int64_t images, int threads) const;
  void run_task(const Task& task, int64_t images, const float* x, const float* dy,
                float* gradient) const;
  void find_runs(const Part& part, const Tap& tap, const float* x, const float* dy, int64_t first,
                 int64_t last, int64_t first_line, int64_t last_line,
                 std::vector<PixelRun>& runs) const;
  void write(const Task& task, const float* c, float* gradient) const;
  int64_t column_stride(const Task& task) const;
  int rows() const { return transposed_ ? inputs_ : dy_.c; }
  int columns() const { return transposed_ ? dy_.c : inputs_; }

  const TrainingKernels& kernels_;
  View x_;  // padded where rows of taps are merged
  View dy_;
  int inputs_;               // of a tap: input channels, times the taps of a merged row
  bool transposed_ = false;  // input channels are broadcast
  int pad_left_ = 0, pad_right_ = 0;
  int64_t weight_floats_;  // of one output channel
  bool reaches_all_ = true;  // whether every weight is some phase's
  std::vector<Part> parts_;
};

}  // namespace facegen::cpu
