// The products of a TrainingExecutable: convolutions, their gradients in inputs and in weights. Groups of
// channels that are computed together have weights of zeros between them.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "cpu/training/executable.h"

namespace facegen::cpu {
namespace {

View view_of(const TrainingValue& value, ChannelRange channels, int32_t buffer) {
  return {buffer, value.h, value.w, channels.count, value.c, 0};
}

// body(dense, grouped, floats) for every run of weights of a part, whose groups follow one another: in
// the weight as the caller has it, and in one of all of the part's inputs.
template <typename Body>
void for_each_run(const GroupPart& part, int64_t taps, Body body) {
  const int64_t ins = part.in_channels / part.groups, outs = part.out_channels / part.groups;
  for (int64_t out = 0; out < part.out_channels; ++out) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      body((out * taps + tap) * part.in_channels + out / outs * ins, (out * taps + tap) * ins, ins);
    }
  }
}

}  // namespace

void TrainingExecutable::make_gemm(std::size_t i) {
  const TrainingStep& s = program_.steps[i];
  Step step{};
  step.op = Op::kGemm;
  const TrainingValue& x = program_.values[std::size_t(s.x)];
  const TrainingValue& y = program_.values[std::size_t(s.y)];
  const auto [in, out] = channels_of(s);
  step.in = view_of(x, in, 0);
  step.out = view_of(y, out, 1);
  step.epilogue.activation = s.activation;
  step.epilogue.alpha = s.alpha;
  step.epilogue.beta = s.limit;
  if (s.accumulate) step.epilogue.other = step.out;
  step.phases = s.phases.data();
  step.phase_count = static_cast<int32_t>(s.phases.size());
  step.kernel_h = s.kernel_h;
  step.kernel_w = s.kernel_w;
  step.weight = weights(s).data;  // packed anew before each run
  step.bias = s.bias < 0 ? nullptr : array(s.bias) + out.first;
  step.algorithm = s.direct_only ? Algorithm::kDirect : Algorithm::kAuto;
  const GemmImplementation* found = find_gemm(step, kernels_);
  if (found == nullptr) throw std::invalid_argument("no kernel for " + s.name);
  gemms_[i] = found->make(step, kernels_);
  implementations_[i] = found->name;
}

// The channels of x and of y that a Gemm reads and writes.
std::pair<ChannelRange, ChannelRange> TrainingExecutable::channels_of(const TrainingStep& s) const {
  const TrainingValue& x = program_.values[std::size_t(s.x)];
  const TrainingValue& y = program_.values[std::size_t(s.y)];
  if (s.transposed) return {outputs_of(s.part, x), inputs_of(s.part, y)};
  return {inputs_of(s.part, x), outputs_of(s.part, y)};
}

// The weights of this step of training, in memory of the calling thread where groups are joined. Those
// of the gradient in the input have input and output channels in each other's places.
Weights TrainingExecutable::weights(const TrainingStep& s) const {
  static thread_local Scratch scratch;
  const int64_t taps = int64_t{1} * s.kernel_h * s.kernel_w;
  const auto [from, to] = channels_of(s);
  const int64_t inputs = s.transposed ? to.count : from.count;
  const float* weight = array(s.weight);
  if (s.part.groups > 0) weight += s.part.first_out * taps * (inputs / s.part.groups);
  if (s.part.groups > 1) {
    const int64_t floats = s.part.out_channels * taps * inputs;
    float* const dense = scratch.get<float>(floats);
    std::fill_n(dense, floats, 0.0f);
    for_each_run(s.part, taps, [&](int64_t at, int64_t grouped, int64_t count) {
      std::copy_n(weight + grouped, count, dense + at);
    });
    weight = dense;
  }
  if (s.transposed) return transposed_weights(weight, taps, inputs);
  return {weight, taps * inputs, inputs, 1};
}

void TrainingExecutable::make_weight_gradient(std::size_t i) {
  const TrainingStep& step = program_.steps[i];
  const TrainingValue& x = program_.values[std::size_t(step.x)];
  const TrainingValue& dy = program_.values[std::size_t(step.dy)];
  weight_gradients_[i] = std::make_unique<WeightGradient>(
      step, view_of(x, inputs_of(step.part, x), 0), view_of(dy, outputs_of(step.part, dy), 0), training_);
}

void TrainingExecutable::weight_gradient(std::size_t i, const TrainingStepCall& call) {
  static thread_local Scratch scratch;
  const GroupPart& part = call.step.part;
  const float* const x = call.x.data + inputs_of(part, *call.x.value).first;
  const float* const dy = call.dy.data + outputs_of(part, *call.dy.value).first;
  float* gradient = gradient_of(call.step.weight);
  const int64_t taps = int64_t{1} * call.step.kernel_h * call.step.kernel_w;
  if (part.groups > 0) gradient += part.first_out * taps * (part.in_channels / part.groups);
  if (part.groups <= 1) return weight_gradients_[i]->run(call.images, x, dy, gradient, call.threads);
  float* const dense = scratch.get<float>(part.out_channels * taps * part.in_channels);
  weight_gradients_[i]->run(call.images, x, dy, dense, call.threads);
  for_each_run(part, taps, [&](int64_t at, int64_t grouped, int64_t count) {
    std::copy_n(dense + at, count, gradient + grouped);
  });
}

}  // namespace facegen::cpu
