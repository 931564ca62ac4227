// Which steps of a training program can run beside the others, and who has to wait for them: a pure function
// of the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "training_program.h"

namespace facegen::cuda {

// Gradients in weights and biases: nothing within a step reads them but its end. Values of the arena share
// memory, so that a later step may write where one of them still reads.
class AsidePlan {
 public:
  AsidePlan() = default;
  explicit AsidePlan(const TrainingProgram& program);

  bool can(std::size_t step) const { return !reads_[step].empty(); }
  // How many of the steps that run aside, one behind the other, must have ended before a step begins.
  std::size_t must_end(std::size_t step, const std::vector<std::size_t>& running) const;

 private:
  struct Range {  // of an image's floats in the arena
    int64_t first, last;
  };
  std::vector<std::vector<Range>> reads_, writes_;  // by step; reads of those alone that can
};

}  // namespace facegen::cuda
