#include "cpu/training/losses.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "threads.h"

namespace facegen::cpu {
namespace {

// With p = softmax(x):  -log p[label] = x[largest] - x[label] + log(1 + the others' p over the
// largest's), none of which cancels where the loss is small.
void cross_entropy(const TrainingStepCall& call, const int32_t* labels, double* losses) {
  const int64_t channels = call.x.value->c, pixels = call.x.value->pixels();
  int64_t counted = 0;
  for (int64_t i = 0; i < call.images * pixels; ++i) counted += labels[i] >= 0;
  const double share = counted > 0 ? 1.0 / static_cast<double>(counted) : 0.0;
  const auto scale = static_cast<float>(share);
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    double loss = 0.0;
    for (int64_t p = 0; p < pixels; ++p) {
      const float* const x = call.x.image(image) + p * channels;
      float* const dx = call.dx.image(image) + p * channels;
      const int32_t label = labels[image * pixels + p];
      // The caller has checked labels, but another thread may have written to them since: one that
      // is no class leaves no finite loss, which stops the step.
      if (label < 0 || label >= channels) {
        std::fill_n(dx, channels, 0.0f);
        if (label >= 0) loss = std::numeric_limits<double>::quiet_NaN();
        continue;
      }
      call.kernels.softmax(x, dx, static_cast<int>(channels), false);
      const int64_t largest = std::max_element(x, x + channels) - x;
      double others = 0.0;
      for (int64_t c = 0; c < channels; ++c) {
        if (c != largest) others += static_cast<double>(dx[c]);
      }
      loss += static_cast<double>(x[largest]) - static_cast<double>(x[label]) +
              std::log1p(others / static_cast<double>(dx[largest]));
      dx[label] -= 1.0f;
      for (int64_t c = 0; c < channels; ++c) dx[c] *= scale;
    }
    losses[image] = loss * share * static_cast<double>(call.images);
  });
}

struct LossAndSlope {
  double loss, slope;
};

LossAndSlope binary_cross_entropy(double p, double target) {
  const double e = std::exp(-std::abs(p));
  const double sigmoid = (p >= 0.0 ? 1.0 : e) / (1.0 + e);
  return {std::max(p, 0.0) - p * target + std::log1p(e), sigmoid - target};
}

LossAndSlope l1(double p, double target) {
  const double difference = p - target;
  return {std::abs(difference), difference > 0.0 ? 1.0 : difference < 0.0 ? -1.0 : difference};
}

LossAndSlope l2(double p, double target) {
  const double difference = p - target;
  return {difference * difference, 2.0 * difference};
}

template <typename Function>
void by_number(const TrainingStepCall& call, const float* target, double* losses, Function function) {
  const int64_t floats = call.x.floats();
  const double share = 1.0 / static_cast<double>(floats);
  const double scale = share / static_cast<double>(call.images);
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    const float* const x = call.x.image(image);
    float* const dx = call.dx.image(image);
    double loss = 0.0;
    for (int64_t i = 0; i < floats; ++i) {
      const auto [of_number, slope] = function(
          static_cast<double>(x[i]), static_cast<double>(target[image * floats + i]));
      loss += of_number;
      dx[i] = static_cast<float>(slope * scale);
    }
    losses[image] = loss * share;
  });
}

}  // namespace

void find_loss(const TrainingStepCall& call, const void* target, double* losses) {
  const auto* numbers = static_cast<const float*>(target);
  switch (call.step.loss) {
    case LossKind::kCrossEntropy:
      return cross_entropy(call, static_cast<const int32_t*>(target), losses);
    case LossKind::kBinaryCrossEntropy:
      return by_number(call, numbers, losses, binary_cross_entropy);
    case LossKind::kL1: return by_number(call, numbers, losses, l1);
    case LossKind::kL2: return by_number(call, numbers, losses, l2);
  }
}

}  // namespace facegen::cpu
