#include "cuda/training/aside.h"

#include "cuda/runtime/error.h"

namespace facegen::cuda {

Aside::Aside(const TrainingProgram& program)
    : plan_(program), done_(program.steps.size()), begun_(make_event()), stream_(make_stream()) {
  for (std::size_t i = 0; i < done_.size(); ++i) {
    if (can(i)) done_[i] = make_event();
  }
}

void Aside::begin(cudaStream_t main) {
  FACEGEN_CUDA_CHECK(cudaEventRecord(begun_.get(), main));
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream_.get(), begun_.get(), 0));
}

void Aside::end(std::size_t step) {
  FACEGEN_CUDA_CHECK(cudaEventRecord(done_[step].get(), stream_.get()));
  running_.push_back(step);
}

void Aside::wait_before(std::size_t step, cudaStream_t main) { wait(plan_.must_end(step, running_), main); }

void Aside::join(cudaStream_t main) { wait(running_.size(), main); }

void Aside::follow(cudaStream_t other) const {
  if (!running_.empty()) FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(other, done_[running_.back()].get(), 0));
}

// For the first of those that run: the last of these ends behind the others.
void Aside::wait(std::size_t count, cudaStream_t main) {
  if (count == 0) return;
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(main, done_[running_[count - 1]].get(), 0));
  running_.erase(running_.begin(), running_.begin() + static_cast<std::ptrdiff_t>(count));
}

}  // namespace facegen::cuda
