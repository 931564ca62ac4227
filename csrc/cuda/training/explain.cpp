// Where a number of a step was not finite.
#include <cmath>
#include <stdexcept>
#include <string>

#include "cuda/training/copies.h"
#include "cuda/training/executable.h"

namespace facegen::cuda {

int64_t TrainingExecutable::first_not_finite(const float* numbers, int64_t count) {
  FACEGEN_CUDA_CHECK(cudaMemsetAsync(place_.get(), 0xff, sizeof(unsigned long long), stream_.get()));
  find_not_finite(numbers, count, place_.get(), stream_.get());
  unsigned long long place = 0;
  copy_down(&place, place_.get(), sizeof place, stream_.get());
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
  return place < static_cast<unsigned long long>(count) ? static_cast<int64_t>(place) : -1;
}

// Does the steps once more, and looks at what each has written: as cpu::TrainingExecutable::explain.
void TrainingExecutable::explain(int64_t images) {
  const auto check = [&](const char* kind, int32_t index, const TrainingMap& map) {
    const int64_t found = first_not_finite(map.data, images * map.value->floats());
    if (found < 0) return;
    throw std::domain_error(std::string(kind) + std::to_string(index) +
                            " has a number that is not finite, in image " +
                            std::to_string(found / map.value->floats()));
  };
  for (std::size_t i = 0; i < program_.values.size(); ++i) {
    const TrainingValue& value = program_.values[i];
    if (value.kind == ValueKind::kInput) check("input ", value.index, locate(int32_t(i), images));
  }
  for (const TrainingStep& step : program_.steps) {
    if (step.op != TrainingOp::kLoss || step.y < 0 || takes_labels(step)) continue;
    check("target ", program_.values[std::size_t(step.y)].index, locate(step.y, images));
  }
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    const TrainingArray& array = program_.arrays[i];
    if (first_not_finite(arrays_[i]->get(), array.floats) < 0) continue;
    throw std::domain_error(array.name + " has a number that is not finite");
  }
  const auto stop = [&](const std::string& what) {
    throw std::domain_error(what + " is not finite, and what it was made of is");
  };
  const auto forward = static_cast<std::size_t>(program_.forward_steps);
  for (std::size_t i = 0; i < forward + static_cast<std::size_t>(program_.backward_steps); ++i) {
    const TrainingStep& step = program_.steps[i];
    enqueue_step(i, images);
    if (step.op == TrainingOp::kLoss) {
      double* const losses = host_losses_.get();
      copy_down(losses, losses_.get() + loss_number_[i] * images, 8 * images, stream_.get());
      FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
      for (int64_t image = 0; image < images; ++image) {
        if (!std::isfinite(losses[image])) {
          stop("the loss (" + step.name + ") of image " + std::to_string(image));
        }
      }
    }
    // Gradients have a place of their own; all other steps write y.
    const int32_t index = step.dx >= 0 || step.dy >= 0 ? step.dx : step.y;
    if (index >= 0) {
      const TrainingMap map = locate(index, images);
      const int64_t found = first_not_finite(map.data, images * map.value->floats());
      if (found >= 0) {
        stop("the result of " + step.name + " (step " + std::to_string(i) + ") for image " +
             std::to_string(found / map.value->floats()));
      }
    }
    if (i < forward || step.op == TrainingOp::kGemm) continue;
    for (const int32_t of : {step.weight, step.bias, step.gamma, step.beta}) {
      if (of < 0 || gradient_at_[static_cast<std::size_t>(of)] < 0) continue;
      const TrainingArray& array = program_.arrays[static_cast<std::size_t>(of)];
      if (first_not_finite(gradient_of(of), array.floats) >= 0) stop("the gradient of " + array.name);
    }
  }
  throw std::domain_error("the sum of the gradient's squares is not finite");
}

}  // namespace facegen::cuda
