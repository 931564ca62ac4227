// Steps of a training program that run beside the others: see AsidePlan.
//
// They are launched on a stream of their own, one behind the other and each behind what it reads. Small
// networks, whose kernels leave most of a GPU idle, so take the time of the longest chain of steps.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/fit/aside_plan.h"
#include "cuda/runtime/memory.h"

namespace facegen::cuda {

class Aside {
 public:
  Aside() = default;
  explicit Aside(const TrainingProgram& program);

  bool can(std::size_t step) const { return plan_.can(step); }
  cudaStream_t stream() const { return stream_.get(); }

  // What is enqueued on the stream of these from now on is behind what is on `main`.
  void begin(cudaStream_t main);
  void end(std::size_t step);
  // What is enqueued on `main` from now on may write what a step writes.
  void wait_before(std::size_t step, cudaStream_t main);
  // It is behind all of them.
  void join(cudaStream_t main);
  // As is another one.
  void follow(cudaStream_t other) const;
  // What ran is over, or was given up.
  void clear() { running_.clear(); }

 private:
  void wait(std::size_t count, cudaStream_t main);

  AsidePlan plan_;
  std::vector<Event> done_;  // by step
  std::vector<std::size_t> running_;
  Event begun_;
  Stream stream_;
};

}  // namespace facegen::cuda
