// Where a number began that is not finite: a TrainingExecutable looks at each step of a batch.
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "cpu/training/executable.h"
#include "cpu/training/finite.h"
#include "cpu/training/losses.h"

namespace facegen::cpu {

// Does the first steps once more, and looks at what each has written.
void TrainingExecutable::explain(Part part, std::size_t steps, bool fine) {
  if (fine) throw std::domain_error(kElsewhere);
  part.sharing = {};
  const int64_t before = part.whole.first;
  const auto number = [&](int64_t image) { return std::to_string(before + image); };
  const auto check = [&](const char* kind, int32_t index, const float* numbers, int64_t floats) {
    for (int64_t image = 0; image < part.images; ++image) {
      if (all_finite(numbers + image * floats, floats)) continue;
      throw std::domain_error(std::string(kind) + std::to_string(index) +
                              " has a number that is not finite, in image " + number(image));
    }
  };
  for (const TrainingValue& value : program_.values) {
    if (value.kind != ValueKind::kInput) continue;
    check("input ", value.index, part.inputs[std::size_t(value.index)], value.floats());
  }
  for (const TrainingStep& step : program_.steps) {
    if (step.op != TrainingOp::kLoss || step.y < 0 || takes_labels(step)) continue;
    const TrainingValue& value = program_.values[std::size_t(step.y)];
    const auto* numbers = static_cast<const float*>(part.targets[std::size_t(value.index)]);
    check("target ", value.index, numbers + before * value.floats(), value.floats());
  }
  for (const TrainingArray& array : program_.arrays) {
    if (all_finite(array.data, array.floats)) continue;
    throw std::domain_error(array.name + " has a number that is not finite");
  }
  const auto stop = [&](const std::string& what) {
    throw std::domain_error(what + " is not finite, and what it was made of is");
  };
  for (std::size_t i = 0; i < steps; ++i) {
    const TrainingStep& step = program_.steps[i];
    run_step(i, part);
    round_sums();
    const TrainingStepCall call = this->call(step, part);
    // Gradients have a place of their own; all other steps write y.
    const cpu::Batch& written = call.dx.data != nullptr || call.dy.data != nullptr ? call.dx : call.y;
    if (step.op == TrainingOp::kLoss) {
      const double* const losses = part.losses + loss_number_[i] * part.whole.images + before;
      for (int64_t image = 0; image < part.images; ++image) {
        if (std::isfinite(losses[image])) continue;
        stop("the loss (" + step.name + ") of image " + number(image));
      }
    }
    for (int64_t image = 0; written.data != nullptr && image < part.images; ++image) {
      if (all_finite(written.image(image), written.floats())) continue;
      stop("the result of " + step.name + " (step " + std::to_string(i) + ") for image " +
           number(image));
    }
    const auto check_gradient = [&](int32_t index) {
      if (index < 0 || gradient(static_cast<std::size_t>(index)) == nullptr) return;
      const TrainingArray& of = program_.arrays[static_cast<std::size_t>(index)];
      if (!all_finite(gradient_of(index), of.floats)) stop("the gradient of " + of.name);
    };
    if (i < static_cast<std::size_t>(program_.forward_steps) || step.op == TrainingOp::kGemm) continue;
    for (const int32_t index : {step.weight, step.bias, step.gamma, step.beta, step.slope}) check_gradient(index);
  }
  throw std::domain_error(kNoFiniteLength);
}

}  // namespace facegen::cpu
