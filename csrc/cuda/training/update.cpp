// What the optimizer's kernel is given: of each parameter once, of each step its numbers.
#include <cstring>
#include <vector>

#include "cuda/training/executable.h"
#include "weight_rounding.h"

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
                       s.optimizer == OptimizerKind::kSgd, s.rounding,
                       kFirstWeightStream + static_cast<uint32_t>(s.stream)});
  }
  updated_ = facegen::cuda::upload(updated.data(), static_cast<int64_t>(updated.size()));
  blocks_ = facegen::cuda::upload(blocks.data(), static_cast<int64_t>(blocks.size()));
  const auto bytes =
      static_cast<int64_t>(sizeof(StepNumbers) + updates_.size() * sizeof(OptimizerNumbers));
  numbers_ = allocate_device<char>(bytes);
}

void TrainingExecutable::put_updates(char* to, const double* rates, uint64_t step) const {
  for (const TrainingStep* update : updates_) {
    const OptimizerNumbers numbers = numbers_of(*update, rates, step);
    std::memcpy(to, &numbers, sizeof numbers);
    to += sizeof numbers;
  }
}

}  // namespace facegen::cuda
