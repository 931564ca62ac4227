#include "cuda/training/aside.h"

#include <algorithm>

#include "cuda/runtime/error.h"

namespace facegen::cuda {

Aside::Aside(const TrainingProgram& program)
    : reads_(program.steps.size()), writes_(program.steps.size()), done_(program.steps.size()) {
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
        done_[i] = make_event();
        break;
      // All others write the gradient, or y where there is none, and some norms statistics.
      case TrainingOp::kInstanceNorm:
      case TrainingOp::kLayerNorm: add(writes_[i], s.statistics); [[fallthrough]];
      default: add(writes_[i], s.dx >= 0 || s.dy >= 0 ? s.dx : s.y); break;
    }
  }
  begun_ = make_event();
  stream_ = make_stream();
}

void Aside::begin(cudaStream_t main) {
  FACEGEN_CUDA_CHECK(cudaEventRecord(begun_.get(), main));
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream_.get(), begun_.get(), 0));
}

void Aside::end(std::size_t step) {
  FACEGEN_CUDA_CHECK(cudaEventRecord(done_[step].get(), stream_.get()));
  running_.push_back({step, done_[step].get()});
}

void Aside::wait_before(std::size_t step, cudaStream_t main) {
  const auto is_read = [&](const Running& running) {
    const auto& reads = reads_[running.step];
    return std::any_of(reads.begin(), reads.end(), [&](const Range& read) {
      const auto& writes = writes_[step];
      return std::any_of(writes.begin(), writes.end(),
                         [&](const Range& write) { return write.overlaps(read); });
    });
  };
  // They run one behind the other: to wait for the last that must have ended is enough.
  const auto last = std::find_if(running_.rbegin(), running_.rend(), is_read);
  if (last == running_.rend()) return;
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(main, last->done, 0));
  running_.erase(running_.begin(), last.base());
}

void Aside::join(cudaStream_t main) {
  if (!running_.empty()) FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(main, running_.back().done, 0));
  running_.clear();
}

}  // namespace facegen::cuda
