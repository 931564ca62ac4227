// Where a number of a step was not finite.
#include <cmath>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/training/copies.h"
#include "cuda/training/executable.h"

namespace facegen::cuda {

int64_t TrainingExecutable::first_not_finite(const float* numbers, int64_t count) {
  FACEGEN_CUDA_CHECK(cudaMemsetAsync(place_.get(), 0xff, sizeof(unsigned long long), stream_.get()));
  find_not_finite(numbers, count, place_.get(), stream_.get());
  return read_place(count, stream_.get());
}

int64_t TrainingExecutable::read_place(int64_t count, cudaStream_t stream) {
  unsigned long long place = 0;
  copy_down(&place, place_.get(), sizeof place, stream);
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream));
  return place < static_cast<unsigned long long>(count) ? static_cast<int64_t>(place) : -1;
}

// Of a call's step, whose batch and numbers are still there and behind which nothing was changed, but for arrays
// that other trainers change too: where these have gone on, it may not be found again. The count of steps is that
// of the call. Steps may follow.
Outcome TrainingExecutable::explain_step(const Kind& kind, int64_t step) {
  follow_arrays();
  enqueue_begin(kind);
  const Found found = explain(kind);
  FACEGEN_CUDA_CHECK(cudaMemsetAsync(stopped_.get(), 0, sizeof(int32_t), stream_.get()));
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
  return {step, found.what, found.where};
}

// Does the steps once more, and looks at what each has written: as cpu::TrainingExecutable::explain. Ranks do
// all of them, as each waits for the others'.
TrainingExecutable::Found TrainingExecutable::explain(const Kind& kind) {
  struct WritesAll {
    Products& products;
    ~WritesAll() { products.write_all(false); }
  } const scope = {products_};
  products_.write_all(true);
  Found first = explain_given(parts_of(kind)[0]);
  for (const std::vector<Part>& parts : parts_of(kind)) {
    if (!first.what.empty() && !sharing_.peers) break;
    const Found found = explain_steps(parts);
    if (first.what.empty()) first = found;
  }
  if (!first.what.empty()) return first;
  return {"the sum of the gradient's squares is not finite",
          static_cast<int64_t>(program_.steps.size())};
}

TrainingExecutable::Found TrainingExecutable::explain_given(const std::vector<Part>& parts) {
  const Part& own = parts[0];
  const Part batch = whole(own.whole);
  const auto check = [&](const char* of, int32_t value, int64_t first_image, int64_t images) -> std::string {
    const TrainingMap map = locate(value, batch);
    const int64_t floats = map.value->floats();
    const int64_t found = first_not_finite(map.data + first_image * floats, images * floats);
    if (found < 0) return "";
    return std::string(of) + std::to_string(map.value->index) +
           " has a number that is not finite, in image " + std::to_string(first_image + found / floats);
  };
  const bool shared = own.shares > 1;
  const int64_t first = shared ? own.first : 0;
  const int64_t images = shared ? own.images * static_cast<int64_t>(parts.size()) : own.whole;
  for (std::size_t i = 0; i < program_.values.size(); ++i) {
    if (program_.values[i].kind != ValueKind::kInput) continue;
    if (std::string what = check("input ", static_cast<int32_t>(i), first, images); !what.empty()) return {what};
  }
  for (const TrainingStep& step : program_.steps) {
    if (step.op != TrainingOp::kLoss || step.y < 0 || takes_labels(step)) continue;
    if (std::string what = check("target ", step.y, 0, own.whole); !what.empty()) return {what};
  }
  for (std::size_t i = 0; i < arrays_.size(); ++i) {
    const TrainingArray& array = program_.arrays[i];
    if (first_not_finite(arrays_[i]->get(), array.floats) < 0) continue;
    return {array.name + " has a number that is not finite"};
  }
  return {};
}

TrainingExecutable::Found TrainingExecutable::explain_steps(const std::vector<Part>& parts) {
  Found first;
  for (std::size_t i = 0; i < static_cast<std::size_t>(program_.forward_steps + program_.backward_steps); ++i) {
    enqueue_all(i, parts);
    for (const Part& part : parts) {
      if (!first.what.empty()) break;
      const std::string what = explain_result(i, part);
      if (what.empty()) continue;
      first = {what + " is not finite, and what it was made of is", static_cast<int64_t>(i)};
    }
    if (!first.what.empty() && !sharing_.peers) break;
  }
  return first;
}

// What a step has written that is not finite; empty: all is.
std::string TrainingExecutable::explain_result(std::size_t i, const Part& part) {
  const TrainingStep& step = program_.steps[i];
  if (step.op == TrainingOp::kLoss) {
    std::vector<double> losses(static_cast<std::size_t>(part.images));
    copy_down(losses.data(), losses_.get() + loss_number_[i] * part.whole + part.first, 8 * part.images,
              stream_.get());
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
    for (std::size_t image = 0; image < losses.size(); ++image) {
      if (std::isfinite(losses[image])) continue;
      return "the loss (" + step.name + ") of image " + std::to_string(part.first + static_cast<int64_t>(image));
    }
  }
  // Gradients have a place of their own; all other steps write y.
  const TrainingStep* const gate = products_.gate_of(i, part.images);
  const int32_t index = written_value(gate == nullptr ? step : *gate);
  if (index >= 0) {
    const TrainingMap map = locate(index, part);
    const int64_t found = first_not_finite(map.data, part.images * map.value->floats());
    if (found >= 0) {
      return "the result of " + step.name + " (step " + std::to_string(i) + ") for image " +
             std::to_string(part.first + found / map.value->floats());
    }
  }
  if (i < static_cast<std::size_t>(program_.forward_steps) || step.op == TrainingOp::kGemm) return "";
  for (const int32_t of : {step.weight, step.bias, step.gamma, step.beta, step.slope}) {
    if (of < 0 || gradient_at_[static_cast<std::size_t>(of)] < 0) continue;
    const TrainingArray& array = program_.arrays[static_cast<std::size_t>(of)];
    if (first_not_finite(gradient_of(of, part.place), array.floats) >= 0) return "the gradient of " + array.name;
  }
  return "";
}

}  // namespace facegen::cuda
