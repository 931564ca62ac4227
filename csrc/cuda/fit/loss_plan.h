// How losses are cut for a GPU, by the map of an image alone: an image's loss has the same bits in any batch.
//
// Blocks have runs of an image (some pixels, or numbers) in turn. There are several blocks for one image
// where it has several runs, its splits; the last of them to finish adds up their sums, in their order.
#pragma once

#include <cstdint>

#include "training_program.h"

namespace facegen::cuda {

constexpr int kLossThreads = 256;  // of a block
constexpr int32_t kMostLossSplits = 128;
static_assert(kMostLossSplits <= kLossThreads);

// Numbers of a run where each has a loss of its own: 16 a thread.
constexpr int64_t kLossRun = 16 * kLossThreads;

// What a block copies of a run's pixels to have them at hand, floats.
constexpr int32_t kStagedFloats = 34 * kLossThreads;

// Blocks that count labels; where there are few, every block of the loss counts them.
constexpr int kCountBlocks = 512;
constexpr int64_t kFewLabels = 4096;

struct LossPlan {
  int32_t runs, splits;  // of an image
  // Of a softmax over each pixel's channels: of a run; and neighbouring threads that a pixel has, a power of 2.
  int32_t pixels = 0, lanes = 0;
  bool staged = false;
  // Floats from a staged pixel to the next: an odd number, so that threads with a pixel each read other banks.
  int32_t pitch = 0;
};
LossPlan plan_loss(const TrainingStep& step, const TrainingValue& prediction);

// Doubles of scratch, for a batch: counts of labels, and the sums of splits.
int64_t loss_doubles(const TrainingStep& step, const TrainingValue& prediction, int64_t images);

}  // namespace facegen::cuda
