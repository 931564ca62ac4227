// What the optimizer's kernel is given: of each parameter once, of each step its numbers.
#include <cstring>
#include <vector>

#include "cuda/training/copies.h"
#include "cuda/training/executable.h"

namespace facegen::cuda {

void TrainingExecutable::plan_updates() {
  std::vector<UpdatedArray> updated;
  std::vector<UpdateBlock> blocks;
  for (const TrainingStep* update : updates_) {
    const TrainingStep& s = *update;
    const auto some = [&](int32_t index) { return index < 0 ? nullptr : array(index); };
    const int64_t floats = program_.arrays[static_cast<std::size_t>(s.weight)].floats;
    for (int64_t first = 0; first < floats; first += kUpdateNumbers) {
      blocks.push_back({static_cast<int32_t>(updated.size()), first});
    }
    updated.push_back({constants_of(s), array(s.weight), gradient_of(s.weight), some(s.first_moment),
                       some(s.second_moment), some(s.average), floats,
                       s.optimizer == OptimizerKind::kSgd});
  }
  updated_ = facegen::cuda::upload(updated.data(), static_cast<int64_t>(updated.size()));
  blocks_ = facegen::cuda::upload(blocks.data(), static_cast<int64_t>(blocks.size()));
  const auto bytes =
      static_cast<int64_t>(sizeof(StepNumbers) + updates_.size() * sizeof(OptimizerNumbers));
  numbers_ = allocate_device<char>(bytes);
  host_numbers_ = allocate_pinned<char>(bytes);
}

void TrainingExecutable::put_numbers(const TrainingBatch& batch) {
  const StepNumbers all = {batch.seed, batch.step};
  std::memcpy(host_numbers_.get(), &all, sizeof all);
  char* to = host_numbers_.get() + sizeof all;
  for (const TrainingStep* update : updates_) {
    // A forward pass has no rates.
    const auto group = static_cast<std::size_t>(update->rate_group);
    const double rate = batch.rates.empty() ? 0.0 : batch.rates[group];
    const OptimizerNumbers numbers = numbers_of(*update, rate, batch.step);
    std::memcpy(to, &numbers, sizeof numbers);
    to += sizeof numbers;
  }
  copy_up(numbers_.get(), host_numbers_.get(), numbers_.bytes(), stream_.get());
}

}  // namespace facegen::cuda
