// How the steps of training are cut for a GPU: pure functions of a step and the batch, so that the order of
// every sum depends on these alone.
//
// A phase of a convolution is a product of matrices. A row is an output position (image, oy, ox); the
// columns of its im2col matrix are taps, each with the channels of the input pixel below it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "host_device.h"
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
  FACEGEN_HOST_DEVICE int weight_tap(int ty, int tx) const {
    return (y.first_tap + ty * y.tap_step) * kernel_w + x.first_tap + tx * x.tap_step;
  }
  FACEGEN_HOST_DEVICE int weight_tap(int tap) const { return weight_tap(tap / x.taps, tap % x.taps); }
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

// How blocks walk the rows (pixels) of segments (a batch, or images). A thread has `vector` neighbouring
// channels and `lanes` threads lie side by side; a run is kRunRows rows of each of a block's threads, and
// `splits` blocks have a segment's runs in turn:
//
//   run 0: split 0   row 0        lane 0 | lane 1 | ...     (thread 0, 1, ...)
//                    row 1        lane 0 | lane 1 | ...     (thread lanes, lanes + 1, ...)
//                    ...
//                    row `step`   lane 0 | lane 1 | ...     (thread 0, 1, ... again)
//   run 1: split 1   ...
constexpr int kWalkThreads = 256;  // of a block
constexpr int kRunRows = 4;        // of a thread
struct RowWalk {
  int64_t segments, rows;  // of a segment
  int32_t channels, vector;
  int32_t lanes;   // a power of 2, up to 32
  int32_t groups;  // of so many channels as a block has
  int32_t splits;
  int32_t runs;  // of a segment

  struct Place {
    int32_t segment, group, split;
    int32_t channel;  // a thread's first; may be behind the last
    int32_t row;      // of a run, its first
  };
  FACEGEN_HOST_DEVICE Place place(uint32_t block, uint32_t thread) const {
    const auto all = static_cast<uint32_t>(groups), parts = static_cast<uint32_t>(splits);
    const auto wide = static_cast<uint32_t>(lanes);
    const auto group = static_cast<int32_t>(block % all);
    return {static_cast<int32_t>(block / all / parts), group, static_cast<int32_t>(block / all % parts),
            group * block_channels() + static_cast<int32_t>(thread % wide) * vector,
            static_cast<int32_t>(thread / wide)};
  }
  FACEGEN_HOST_DEVICE int block_channels() const { return lanes * vector; }
  FACEGEN_HOST_DEVICE int step() const { return kWalkThreads / lanes; }  // from a thread's row to its next
  FACEGEN_HOST_DEVICE int run_rows() const { return kRunRows * step(); }
  // How many rows there are from `first` on, in a run.
  FACEGEN_HOST_DEVICE int rows_from(int64_t first) const {
    const int64_t left = rows - first;
    return left < run_rows() ? static_cast<int>(left) : run_rows();
  }
  int64_t blocks() const { return segments * groups * splits; }
  // Of so many sums by channels: those of the splits, a block's side by side; and their totals.
  int64_t split_doubles(int64_t sums) const {
    return splits == 1 ? 0 : blocks() * sums * block_channels();
  }
  int64_t sum_doubles(int64_t sums) const { return split_doubles(sums) + segments * sums * channels; }
};
// How many of so many channels a thread reads at once, of all these maps: 4 where they lie aligned so.
int32_t vector_of(int32_t channels, std::initializer_list<const TrainingValue*> maps);
// Of sums by channels. Where there are splits, groups of all segments are no more than kArrivals.
RowWalk plan_column_sums(int64_t segments, int64_t rows, int32_t channels, int32_t vector);
constexpr int64_t kArrivals = 512;
// Of what is made pixel by pixel.
RowWalk plan_pixels(int64_t segments, int64_t rows, int32_t channels, int32_t vector);

// Neighbouring pixels of a depthwise convolution that a thread has.
constexpr int kDepthwisePixels = 4;

// The sums that are the gradient of a depthwise convolution's weight, by taps and channels. Segments are
// groups of taps: a reading of both maps gives the sums of all that a group has. Rows are kDepthwisePixels
// neighbouring outputs.
enum class DepthwiseTaps { kOne, kRowOfFive, kThreeByThree };
struct DepthwiseSums {
  DepthwiseTaps taps;  // of a segment
  int32_t count;
  RowWalk walk;
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
constexpr int64_t kUpdateNumbers = 2048;

// Bytes that a step needs while it runs, of a batch.
int64_t training_scratch_bytes(const TrainingProgram& program, int64_t images);

// Whether the kernel of a step writes its output as an operand too, where it is asked to.
bool writes_operand(const TrainingStep& step, const TrainingProgram& program);

// Whether all rows and numbers of a batch can be counted as the kernels count them.
bool is_countable(const TrainingProgram& program, int64_t images);

}  // namespace facegen::cuda
