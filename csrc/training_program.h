// What a training engine runs: a flat list of steps over values, parameters and what is kept with
// them, as plain structs. python/facegen/nn/grad/steps has a class for each op and explains it;
// bindings/read_training.cpp reads those into the one struct here.
//
// A value is a dense NHWC tensor of every image of a batch: the caller's, or in the arena, where
// image i of a batch of n starts at  n * offset + i * floats(value).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "program.h"

namespace facegen {

// Sums over a batch are made image by image within chunks of so many images, and chunks are added in
// pairs, pairs in pairs, and so on: a binary tree that depends on the batch alone, not on threads. A
// part of a batch that holds 2^k chunks from a multiple of 2^k on is one node of it.
constexpr int64_t kChunkImages = 8;

enum class TrainingOp : int32_t {
  kGemm,
  kWeightGradient,
  kDepthwise,
  kDepthwiseGradient,
  kDepthwiseWeightGradient,
  kBiasGradient,
  kActivate,
  kActivateGradient,
  kPrelu,
  kPreluGradient,
  kMultiply,
  kMultiplySum,
  kSoftmax,
  kSoftmaxGradient,
  kShuffle,
  kRearrange,
  kMaxPool,
  kMaxPoolGradient,
  kGlobalAvgPool,
  kGlobalAvgPoolGradient,
  kBatchNorm,
  kBatchNormGradient,
  kInstanceNorm,
  kInstanceNormGradient,
  kLayerNorm,
  kLayerNormGradient,
  kCopy,
  kResample,
  kResampleGradient,
  kDropout,
  kLoss,
  kUpdateStatistics,
  kUpdate,
};

enum class LossKind : int32_t {
  kCrossEntropy,
  kSoftCrossEntropy,
  kBinaryCrossEntropy,
  kL1,
  kL2,
  kGiven,
  kRelativisticPairs,
};
enum class OptimizerKind : int32_t { kSgd, kAdam, kAdamW };
// Of a parameter's numbers, when they have been changed, to bfloat16.
enum class WeightRounding : int32_t { kNone, kNearest, kStochastic };

enum class ValueKind : int32_t { kInput, kTarget, kArena };

struct TrainingValue {
  ValueKind kind;
  int32_t index;  // of an input or target
  int32_t h, w, c;
  int64_t offset;  // floats of one image from the arena's start
  int64_t pixels() const { return int64_t{1} * h * w; }
  int64_t floats() const { return pixels() * c; }
};

// As AxisTaps of program.h.
struct TrainingTaps {
  int32_t taps = 0;
  std::vector<int32_t> positions;
  std::vector<float> weights;
};

// Some neighbouring groups of a layer, as Part of gemm_layers.py; no groups: all of a layer of one.
struct GroupPart {
  int32_t groups = 0;
  int32_t first_in = 0, in_channels = 0, first_out = 0, out_channels = 0;
};

// Operands are indices; -1 is none. Parameters, moments and averages are entries of one list of
// arrays; a gradient has its parameter's index.
struct TrainingStep {
  TrainingOp op;
  std::string name;
  // Values; of kLoss the prediction, target and gradient
  int32_t x = -1, other = -1, y = -1, dy = -1, dx = -1;
  bool accumulate = false;
  // kGemm, kWeightGradient
  std::vector<Phase> phases;
  int32_t kernel_h = 0, kernel_w = 0;
  bool transposed = false, direct_only = false;
  int32_t weight = -1, bias = -1;  // kBiasGradient: bias
  GroupPart part;
  // The activation of y
  Activation activation = Activation::kNone;
  float alpha = 0.0f, limit = 0.0f;  // its numbers, alpha and beta of an Epilogue
  int32_t slope = -1;                // kPrelu, kPreluGradient
  Window window = {};                // of pools and depthwise convolutions
  bool log = false;                  // kSoftmax, kSoftmaxGradient
  int32_t groups = 0;                // kInstanceNorm, kInstanceNormGradient, kShuffle
  // kRearrange: see Step in program.h
  int32_t block = 0;
  bool depth_first = false;
  // kResample, kResampleGradient
  TrainingTaps rows, columns;
  // Norms
  int32_t gamma = -1, beta = -1, mean = -1, var = -1;
  int32_t statistics = -1;  // an array of the batch; of instance norms a value
  float eps = 0.0f, momentum = 0.0f;
  bool stored = false, trained = true;
  // kCopy
  int32_t channels = 0, first_x = 0, first_y = 0;
  float scale = 1.0f, shift = 0.0f;
  bool zero_rest = false;  // of y's channels
  // kDropout
  float share = 0.0f;
  int32_t stream = 0;  // of random numbers: among dropouts', or among parameters'
  LossKind loss = LossKind::kL2;
  float loss_weight = 1.0f, penalty = 0.0f;
  bool generator = false;
  // kUpdate: parameter is `weight`; momentum is above
  OptimizerKind optimizer = OptimizerKind::kSgd;
  int32_t rate_group = 0, first_moment = -1, second_moment = -1, average = -1;
  int32_t decay_group = 0;  // where the average's decay is among the rates
  double weight_decay = 0.0, beta1 = 0.0, beta2 = 0.0;
  bool nesterov = false;
  WeightRounding rounding = WeightRounding::kNone;
};

// What a step writes beside statistics: a gradient, or its output; -1: the gradient of a parameter alone.
inline int32_t written_value(const TrainingStep& step) {
  return step.dx >= 0 || step.dy >= 0 ? step.dx : step.y;
}

// Whether targets are int32 labels rather than float32 numbers.
inline bool takes_labels(const TrainingStep& step) {
  return step.op == TrainingOp::kLoss && step.loss == LossKind::kCrossEntropy;
}

// Images that one loss is of, one after another in the batch. Groups divide a chunk.
inline int64_t loss_group(const TrainingStep& step) {
  if (step.op != TrainingOp::kLoss || step.loss != LossKind::kRelativisticPairs) return 1;
  return step.penalty > 0.0f ? 4 : 2;
}
static_assert(kChunkImages % 4 == 0);

struct TrainingArray {
  std::string name;
  float* data;  // the caller's
  int64_t floats;
};

struct TrainingProgram {
  std::vector<TrainingStep> steps;  // forward, backward, update
  int32_t forward_steps = 0, backward_steps = 0;
  std::vector<TrainingValue> values;
  std::vector<TrainingArray> arrays;
  std::vector<int64_t> statistics;  // floats of each array of the batch
  std::vector<int32_t> targets;          // values
  std::vector<int32_t> kept;             // values, which stay as they are after a step
  int32_t rate_groups = 1;
  int64_t arena_floats = 0;  // of one image
  float clip_norm = 0.0f;    // 0: none
};

}  // namespace facegen
