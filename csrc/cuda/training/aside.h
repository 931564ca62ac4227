// Which steps of a training program are computed beside the others: gradients in weights and biases, which
// nothing within the step reads but its end.
//
// They are launched on a stream of their own, behind what they read. A later step that writes where one
// of them still reads waits for it; values of the arena share memory. Small networks, whose kernels leave
// most of a GPU idle, so take the time of the longest chain of steps.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/runtime/memory.h"
#include "training_program.h"

namespace facegen::cuda {

class Aside {
 public:
  Aside() = default;
  explicit Aside(const TrainingProgram& program);  // which outlives it

  bool can(std::size_t step) const { return !reads_[step].empty(); }
  cudaStream_t stream() const { return stream_.get(); }

  // What is enqueued on the stream of these from now on is behind what is on `main`.
  void begin(cudaStream_t main);
  void end(std::size_t step);
  // What is enqueued on `main` from now on may write what a step writes.
  void wait_before(std::size_t step, cudaStream_t main);
  // It is behind all of them.
  void join(cudaStream_t main);
  // What ran is over, or was given up.
  void clear() { running_.clear(); }

 private:
  struct Range {  // of an image's floats in the arena
    int64_t first, last;
    bool overlaps(const Range& other) const { return first < other.last && other.first < last; }
  };
  struct Running {
    std::size_t step;
    cudaEvent_t done;
  };
  std::vector<std::vector<Range>> reads_;   // by step; none: it is not computed beside others
  std::vector<std::vector<Range>> writes_;  // by step
  std::vector<Event> done_;                 // by step
  std::vector<Running> running_;
  Event begun_;
  Stream stream_;
};

}  // namespace facegen::cuda
