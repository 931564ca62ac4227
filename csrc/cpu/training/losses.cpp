#include "cpu/training/losses.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cpu/memory.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

void put(float& to, float value, bool accumulate) { to = accumulate ? to + value : value; }

// The softmax of a pixel, and  log(sum of exp(x)) - x[largest] , which does not cancel where a loss is
// small: log(1 + the others' softmax over the largest's).
struct PixelSoftmax {
  const float* softmax;
  int64_t largest;
  double log_sum;
};

PixelSoftmax find_softmax(const TrainingStepCall& call, const float* x) {
  static thread_local Scratch scratch;
  const int64_t channels = call.x.value->c;
  float* const softmax = scratch.get<float>(channels);
  call.kernels.softmax(x, softmax, static_cast<int>(channels), false);
  const int64_t largest = std::max_element(x, x + channels) - x;
  double others = 0.0;
  for (int64_t c = 0; c < channels; ++c) {
    if (c != largest) others += static_cast<double>(softmax[c]);
  }
  return {softmax, largest, std::log1p(others / static_cast<double>(softmax[largest]))};
}

void cross_entropy(const TrainingStepCall& call, const int32_t* labels, double* losses) {
  const int64_t channels = call.x.value->c, pixels = call.x.value->pixels();
  int64_t counted = 0;
  for (int64_t i = 0; i < call.whole.images * pixels; ++i) counted += labels[i] >= 0;
  labels += call.whole.first * pixels;
  const double share = counted > 0 ? 1.0 / static_cast<double>(counted) : 0.0;
  const auto scale = static_cast<float>(share * static_cast<double>(call.step.loss_weight));
  const bool accumulate = call.step.accumulate;
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    double loss = 0.0;
    for (int64_t p = 0; p < pixels; ++p) {
      const float* const x = call.x.image(image) + p * channels;
      float* const dx = call.dx.image(image) + p * channels;
      const int32_t label = labels[image * pixels + p];
      // The caller has checked labels, but another thread may have written to them since: one that
      // is no class leaves no finite loss, which stops the step.
      if (label < 0 || label >= channels) {
        if (!accumulate) std::fill_n(dx, channels, 0.0f);
        if (label >= 0) loss = std::numeric_limits<double>::quiet_NaN();
        continue;
      }
      const auto [softmax, largest, log_sum] = find_softmax(call, x);
      loss += static_cast<double>(x[largest]) - static_cast<double>(x[label]) + log_sum;
      for (int64_t c = 0; c < channels; ++c) {
        put(dx[c], (c == label ? softmax[c] - 1.0f : softmax[c]) * scale, accumulate);
      }
    }
    losses[image] = loss * share * static_cast<double>(call.whole.images);
  });
}

void soft_cross_entropy(const TrainingStepCall& call, const float* target, double* losses) {
  const int64_t channels = call.x.value->c, pixels = call.x.value->pixels();
  const double share = 1.0 / static_cast<double>(pixels);
  const auto scale = static_cast<float>(share / static_cast<double>(call.whole.images) *
                                        static_cast<double>(call.step.loss_weight));
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    double loss = 0.0;
    for (int64_t p = 0; p < pixels; ++p) {
      const float* const x = call.x.image(image) + p * channels;
      const float* const t = target + (image * pixels + p) * channels;
      float* const dx = call.dx.image(image) + p * channels;
      const auto [softmax, largest, log_sum] = find_softmax(call, x);
      double sum = 0.0;
      for (int64_t c = 0; c < channels; ++c) {
        const auto of_class = static_cast<double>(t[c]);
        sum += of_class;
        loss += of_class * (static_cast<double>(x[largest]) - static_cast<double>(x[c]) + log_sum);
      }
      const auto all = static_cast<float>(sum);
      for (int64_t c = 0; c < channels; ++c) {
        put(dx[c], (all * softmax[c] - t[c]) * scale, call.step.accumulate);
      }
    }
    losses[image] = loss * share;
  });
}

struct LossAndSlope {
  double loss, slope;
};

double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}

double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

LossAndSlope binary_cross_entropy(double p, double target) {
  return {softplus(p) - p * target, sigmoid(p) - target};
}

LossAndSlope l1(double p, double target) {
  const double difference = p - target;
  return {std::abs(difference), difference > 0.0 ? 1.0 : difference < 0.0 ? -1.0 : difference};
}

LossAndSlope l2(double p, double target) {
  const double difference = p - target;
  return {difference * difference, 2.0 * difference};
}

LossAndSlope given(double p, double target) { return {p * target, target}; }

// `share` of an image's numbers is its loss, and a batch's the mean of them.
template <typename Function>
void by_number(const TrainingStepCall& call, const float* target, double share, double* losses,
               Function function) {
  const int64_t floats = call.x.floats();
  const double scale =
      share / static_cast<double>(call.whole.images) * static_cast<double>(call.step.loss_weight);
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    const float* const x = call.x.image(image);
    float* const dx = call.dx.image(image);
    double loss = 0.0;
    for (int64_t i = 0; i < floats; ++i) {
      const auto [of_number, slope] = function(
          static_cast<double>(x[i]), static_cast<double>(target[image * floats + i]));
      loss += of_number;
      put(dx[i], static_cast<float>(slope * scale), call.step.accumulate);
    }
    losses[image] = loss * share;
  });
}

// An image's score is the mean of its numbers. Of a group: the real image, the generated one, and
// with a penalty both again with noise.
void relativistic_pairs(const TrainingStepCall& call, double* losses) {
  const int64_t size = loss_group(call.step), groups = call.images / size;
  const int64_t floats = call.x.floats();
  const auto penalty = static_cast<double>(call.step.penalty);
  const double scale = static_cast<double>(call.step.loss_weight) /
                       static_cast<double>(call.whole.images / size * floats);
  parallel_for(groups, call.threads, [&](int64_t group, int) {
    double scores[4] = {}, slopes[4] = {};
    for (int64_t i = 0; i < size; ++i) {
      const float* const x = call.x.image(group * size + i);
      for (int64_t f = 0; f < floats; ++f) scores[i] += static_cast<double>(x[f]);
      scores[i] /= static_cast<double>(floats);
    }
    const double lead = scores[0] - scores[1];  // of the real image
    double loss = softplus(call.step.generator ? lead : -lead);
    if (call.step.generator) {
      slopes[1] = -sigmoid(lead);
    } else {
      slopes[1] = sigmoid(-lead);
      slopes[0] = -slopes[1];
    }
    for (int64_t i = 2; i < size; ++i) {
      const double change = scores[i - 2] - scores[i];
      loss += penalty * change * change;
      slopes[i - 2] += 2.0 * penalty * change;
      slopes[i] = -2.0 * penalty * change;
    }
    for (int64_t i = 0; i < size; ++i) {
      const int64_t image = group * size + i;
      const auto slope = static_cast<float>(slopes[i] * scale);
      float* const dx = call.dx.image(image);
      for (int64_t f = 0; f < floats; ++f) put(dx[f], slope, call.step.accumulate);
      losses[image] = loss;
    }
  });
}

}  // namespace

void find_loss(const TrainingStepCall& call, const void* target, double* losses) {
  const double share = 1.0 / static_cast<double>(call.x.floats());
  losses += call.whole.first;
  if (call.step.loss == LossKind::kCrossEntropy) {
    return cross_entropy(call, static_cast<const int32_t*>(target), losses);
  }
  const auto* numbers = static_cast<const float*>(target);
  if (numbers != nullptr) numbers += call.whole.first * call.x.floats();
  switch (call.step.loss) {
    case LossKind::kCrossEntropy: return;  // see above
    case LossKind::kSoftCrossEntropy: return soft_cross_entropy(call, numbers, losses);
    case LossKind::kBinaryCrossEntropy:
      return by_number(call, numbers, share, losses, binary_cross_entropy);
    case LossKind::kL1: return by_number(call, numbers, share, losses, l1);
    case LossKind::kL2: return by_number(call, numbers, share, losses, l2);
    // The sum over the batch: the gradient is the target to the bit.
    case LossKind::kGiven:
      return by_number(call, numbers, static_cast<double>(call.whole.images), losses, given);
    case LossKind::kRelativisticPairs: return relativistic_pairs(call, losses);
  }
}

}  // namespace facegen::cpu
