// How the steps of training are cut for a GPU: pure functions of a step and the batch, so that the order of
// every sum depends on these alone.
//
// A phase of a convolution is a product of matrices. A row is an output position (image, oy, ox); the
// columns of its im2col matrix are taps, each with the channels of the input pixel below it.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/fit/host_device.h"
#include "training_program.h"

namespace facegen::cuda {

// One phase: where its rows lie in the map that it makes, and where its taps read.
struct TrainingPhase {
  Axis y, x;
  int32_t kernel_w;  // of the weight
  int32_t map_w;     // of the map made

  FACEGEN_HOST_DEVICE int taps() const { return y.taps * x.taps; }
  FACEGEN_HOST_DEVICE int outputs() const { return y.out * x.out; }
  // The weight's tap that a tap of the phase is, and what it reads for an output.
  FACEGEN_HOST_DEVICE int weight_tap(int tap) const {
    return (y.first_tap + tap / x.taps * y.tap_step) * kernel_w + x.first_tap + tap % x.taps * x.tap_step;
  }
  FACEGEN_HOST_DEVICE int input_y(int oy, int tap) const {
    return oy * y.step + tap / x.taps * y.dir + y.base;
  }
  FACEGEN_HOST_DEVICE int input_x(int ox, int tap) const {
    return ox * x.step + tap % x.taps * x.dir + x.base;
  }
  FACEGEN_HOST_DEVICE int64_t output_pixel(int oy, int ox) const {
    return int64_t{1} * (y.out_origin + oy * y.out_step) * map_w + x.out_origin + ox * x.out_step;
  }
};

// The groups of a layer that a step computes: each has `ins` of the layer's inputs and `outs` outputs.
struct TrainingGroups {
  int32_t count, ins, outs, first_in, first_out;
};
TrainingGroups groups_of(const TrainingStep& step, const TrainingProgram& program);

// Tiles of a product, on tensor cores: see cuda/training/mma_tile.cuh.
constexpr int kTrainingTile = 64, kTrainingChunk = 32;

// The depth of a product (what is summed over) in parts, each a sum of its own that is added in order.
struct DepthSplit {
  int32_t splits;
  int64_t part;  // of the depth, a multiple of kTrainingChunk; the last may have less
};
DepthSplit split_depth(int64_t rows, int64_t columns, int64_t depth, int64_t groups);

// Sums by channels over the rows of each of some segments: a batch, or images.
struct ColumnSums {
  int64_t segments, rows;  // of a segment
  int32_t channels;
  int32_t lanes;  // channels of a block, a power of 2
  int32_t splits;
  int64_t split_rows;
  FACEGEN_HOST_DEVICE int channel_groups() const { return (channels + lanes - 1) / lanes; }
  // Of so many sums: those of the splits, and their totals.
  int64_t memory_doubles(int64_t sums) const { return segments * (splits + 1) * sums * channels; }
};
constexpr int kSumThreads = 256;
ColumnSums plan_column_sums(int64_t segments, int64_t rows, int32_t channels);

// Neighbouring pixels of a depthwise convolution that a thread has.
constexpr int kDepthwisePixels = 4;

// The sums that are the gradient of a depthwise convolution's weight, by taps and channels. Segments are
// groups of taps: a reading of both maps gives the sums of all that a group has. Rows are kDepthwisePixels
// neighbouring outputs.
enum class DepthwiseTaps { kOne, kRowOfFive, kThreeByThree };
struct DepthwiseSums {
  DepthwiseTaps taps;  // of a segment
  int32_t count;
  ColumnSums plan;
};
DepthwiseSums plan_depthwise_sums(const Window& window, const TrainingValue& dy, int64_t images);

// What every position of an input gives to the outputs, in their order: entries from start[i] to
// start[i + 1] are input position i's.
struct TransposedTaps {
  std::vector<int32_t> start, outputs;
  std::vector<float> weights;
};
TransposedTaps transpose_taps(const TrainingTaps& taps, int32_t in);

// Numbers of a block of the optimizer, and of one of the gradient's sum of squares.
constexpr int64_t kUpdateNumbers = 4096;

// Bytes that a step needs while it runs, of a batch.
int64_t training_scratch_bytes(const TrainingProgram& program, int64_t images);

// Whether all rows and numbers of a batch can be counted as the kernels count them.
bool is_countable(const TrainingProgram& program, int64_t images);

}  // namespace facegen::cuda
