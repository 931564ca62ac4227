// Where a number of a step was not finite.
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/training/copies.h"
#include "cuda/training/executable.h"

namespace facegen::cuda {

int64_t TrainingExecutable::first_not_finite(const float* numbers, int64_t count) {
  FACEGEN_CUDA_CHECK(cudaMemsetAsync(place_.get(), 0xff, sizeof(unsigned long long), stream_.get()));
  find_not_finite(numbers, count, place_.get(), stream_.get());
  return read_place(count);
}

int64_t TrainingExecutable::read_place(int64_t count) {
  unsigned long long place = 0;
  copy_down(&place, place_.get(), sizeof place, stream_.get());
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
  return place < static_cast<unsigned long long>(count) ? static_cast<int64_t>(place) : -1;
}

// Of a call's step, whose batch and numbers are still there and behind which nothing was changed.
std::string TrainingExecutable::explain_step(const Kind& kind, int64_t step) {
  const Cursor cursor = {step, 0, 0};
  std::memcpy(host_call_.get(), &cursor, sizeof cursor);
  copy_up(call_.get(), host_call_.get(), sizeof cursor, stream_.get());
  enqueue_begin(kind);
  try {
    explain(kind);
  } catch (const std::domain_error& found) {
    return found.what();
  }
}

// Does the steps once more, and looks at what each has written: as cpu::TrainingExecutable::explain.
void TrainingExecutable::explain(const Kind& kind) {
  const Part batch = whole(kind.images);
  const auto check = [&](const char* of, int32_t value) {
    const TrainingMap map = locate(value, batch);
    const int64_t found = first_not_finite(map.data, batch.images * map.value->floats());
    if (found < 0) return;
    throw std::domain_error(std::string(of) + std::to_string(map.value->index) +
                            " has a number that is not finite, in image " +
                            std::to_string(found / map.value->floats()));
  };
  for (std::size_t i = 0; i < program_.values.size(); ++i) {
    if (program_.values[i].kind == ValueKind::kInput) check("input ", static_cast<int32_t>(i));
  }
  for (const TrainingStep& step : program_.steps) {
    if (step.op == TrainingOp::kLoss && step.y >= 0 && !takes_labels(step)) check("target ", step.y);
  }
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    const TrainingArray& array = program_.arrays[i];
    if (first_not_finite(arrays_[i]->get(), array.floats) < 0) continue;
    throw std::domain_error(array.name + " has a number that is not finite");
  }
  for (const Part& part : parts_of(kind)) explain_steps(part);
  throw std::domain_error("the sum of the gradient's squares is not finite");
}

void TrainingExecutable::explain_steps(const Part& part) {
  const auto stop = [&](const std::string& what) {
    throw std::domain_error(what + " is not finite, and what it was made of is");
  };
  const auto forward = static_cast<std::size_t>(program_.forward_steps);
  for (std::size_t i = 0; i < forward + static_cast<std::size_t>(program_.backward_steps); ++i) {
    const TrainingStep& step = program_.steps[i];
    enqueue_step(i, part);
    if (step.op == TrainingOp::kLoss) {
      std::vector<double> losses(static_cast<std::size_t>(part.images));
      copy_down(losses.data(), losses_.get() + loss_number_[i] * part.whole + part.first, 8 * part.images,
                stream_.get());
      FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
      for (std::size_t image = 0; image < losses.size(); ++image) {
        if (std::isfinite(losses[image])) continue;
        stop("the loss (" + step.name + ") of image " +
             std::to_string(part.first + static_cast<int64_t>(image)));
      }
    }
    // Gradients have a place of their own; all other steps write y.
    const int32_t index = step.dx >= 0 || step.dy >= 0 ? step.dx : step.y;
    if (index >= 0) {
      const TrainingMap map = locate(index, part);
      const int64_t found = first_not_finite(map.data, part.images * map.value->floats());
      if (found >= 0) {
        stop("the result of " + step.name + " (step " + std::to_string(i) + ") for image " +
             std::to_string(part.first + found / map.value->floats()));
      }
    }
    if (i < forward || step.op == TrainingOp::kGemm) continue;
    for (const int32_t of : {step.weight, step.bias, step.gamma, step.beta, step.slope}) {
      if (of < 0 || gradient_at_[static_cast<std::size_t>(of)] < 0) continue;
      const TrainingArray& array = program_.arrays[static_cast<std::size_t>(of)];
      if (first_not_finite(gradient_of(of), array.floats) >= 0) stop("the gradient of " + array.name);
    }
  }
}

}  // namespace facegen::cuda
