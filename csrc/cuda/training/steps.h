// What one call asks of a trainer on a GPU: steps that follow one another, and what is found in them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/training/held.h"
#include "cuda/training/sources.h"

namespace facegen::cuda {

struct Steps {
  int64_t count = 1;
  int64_t images = 0;       // of each step
  int64_t part_images = 0;  // are computed at once: all that are not others', or kChunkImages times a power of 2
  // The batch of a single step ...
  std::vector<Pieces> inputs, targets;
  // ... or rows of a data set, (count, images).
  const HeldArrays* held = nullptr;
  const int32_t* rows = nullptr;
  const double* rates = nullptr;  // (count, rates_a_step), by groups
  int64_t rates_a_step = 0;
  uint64_t seed = 0, first = 0;   // first: number of the first step, from 0
  bool update = true;             // or leave everything but the gradients as it is
  bool predicted = false;         // predict() came before, of these inputs: its values are there
  double* losses = nullptr;       // out: (count, losses, images)
  double* lengths = nullptr;      // out: (count), of the gradients
};

struct Outcome {
  int64_t steps;           // done; weights are as these have left them
  std::string not_finite;  // where the next one's numbers were not; empty: all are done
  int64_t where = -1;      // the step of the program, among ranks the lowest is where it began; -1: what is given
};

}  // namespace facegen::cuda
