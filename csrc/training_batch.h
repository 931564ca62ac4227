// What a step of training on the CPU is given.
#pragma once

#include <cstdint>
#include <vector>

namespace facegen {

struct TrainingBatch {
  int64_t images;
  int64_t part_images;  // are computed at once: all, or kChunkImages times a power of 2
  std::vector<const float*> inputs;
  std::vector<const void*> targets;  // float32, or int32 labels
  double* losses;                    // out: (losses, images)
  std::vector<double> rates;         // by group
  uint64_t seed, step;               // of what is drawn, and of Adam's corrections: from 0
  bool update;                       // or leave everything but the gradients as it is
  bool predicted = false;            // predict() came before, of these inputs: its values are there
  int threads;
};

}  // namespace facegen
