#include "cuda/fit/aside_plan.h"

namespace facegen::cuda {

AsidePlan::AsidePlan(const TrainingProgram& program)
    : reads_(program.steps.size()), writes_(program.steps.size()) {
  const auto add = [&](std::vector<Range>& ranges, int32_t index) {
    if (index < 0) return;
    const TrainingValue& value = program.values[static_cast<std::size_t>(index)];
    // Inputs and targets stay as they are until the step has ended.
    if (value.kind == ValueKind::kArena) ranges.push_back({value.offset, value.offset + value.floats()});
  };
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const TrainingStep& s = program.steps[i];
    switch (s.op) {
      case TrainingOp::kWeightGradient:
      case TrainingOp::kBiasGradient:
        add(reads_[i], s.x);
        add(reads_[i], s.dy);
        break;
      // All others write the gradient, or y where there is none, and some norms statistics.
      case TrainingOp::kInstanceNorm:
      case TrainingOp::kLayerNorm: add(writes_[i], s.statistics); [[fallthrough]];
      default: add(writes_[i], written_value(s)); break;
    }
  }
}

std::size_t AsidePlan::must_end(std::size_t step, const std::vector<std::size_t>& running) const {
  for (std::size_t count = running.size(); count > 0; --count) {
    for (const Range& read : reads_[running[count - 1]]) {
      for (const Range& write : writes_[step]) {
        if (write.first < read.last && read.first < write.last) return count;
      }
    }
  }
  return 0;
}

}  // namespace facegen::cuda
