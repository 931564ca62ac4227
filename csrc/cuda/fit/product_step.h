// What Hopper's kernel computes for a product of training: the step itself, or, of a layer of few channels, a
// product of one tap that makes better use of tiles of 64.
//
// With T taps, a weight (outputs, T, inputs) of few inputs is one of (outputs, 1, T inputs), and of few
// outputs one of (outputs T, 1, inputs): the same numbers in the same places. Then
//
//                  few inputs                              few outputs
//   forward        gathers x: (y pixel; tap, channel)      makes (x pixel; channel, tap), scatters it to y
//   input          makes (dy pixel; tap, channel),         gathers dy: (x pixel; channel, tap)
//                  scatters it to dx
//   weight         gathers x                               gathers dy
//
// Transposed convolutions of few channels on both sides have their phases as channels: see product_phases.h.
#pragma once

#include <cstdint>
#include <optional>

#include "cuda/fit/product_phases.h"
#include "cuda/fit/training_plan.h"

namespace facegen::cuda::hopper {

enum class ProductKind { kForward, kInput, kWeight };
inline ProductKind product_kind(const TrainingStep& step) {
  return step.op == TrainingOp::kWeightGradient ? ProductKind::kWeight
         : step.transposed                      ? ProductKind::kInput
                                                : ProductKind::kForward;
}

// What the operands of products are.
enum class OperandFormat {
  kSplit,     // two planes of bfloat16, hi and lo
  kBfloat16,
  kFloat16,
};
constexpr int planes_of(OperandFormat format) { return format == OperandFormat::kSplit ? 2 : 1; }
constexpr int products_of(OperandFormat format) { return format == OperandFormat::kSplit ? 3 : 1; }

constexpr int kMostPhases = 16;  // what a kernel's arguments hold
constexpr int kMostPhaseSteps = 8;  // output pixels from a phase's to its next
constexpr int kMostKernel = 16;  // taps of an axis of a layer of few channels
constexpr int kMostGathered = 2048;  // channels of a gathered map

// Position p of a gathered map has, for tap k of the weight, what is at  p * scale + offsets[k].
constexpr int32_t kNowhere = -(1 << 28);  // a tap that reads nothing
struct GatherAxis {
  int32_t size;  // of the gathered map
  int32_t taps, scale;
  int32_t offsets[kMostKernel];
};
struct GatherMap {
  GatherAxis y, x;
  bool channel_first;  // (channel, tap), else (tap, channel)
  int32_t channels(int32_t of_map) const { return of_map * y.taps * x.taps; }
};

struct ProductStep {
  TrainingStep step;      // phases and kernel of the product
  TrainingGroups groups;  // and its channels
  std::optional<GatherMap> gather, gather_dy;  // of x; of the weight's gradient's dy
  std::optional<PhaseChannels> phases;
  bool scatters = false;  // where to, `phases` say or the original step's
};

ProductStep lower_product(const TrainingStep& step, const TrainingProgram& program);

}  // namespace facegen::cuda::hopper
