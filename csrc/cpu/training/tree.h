// Sums over a batch as a fixed binary tree over its chunks of images (see kChunkImages).
#pragma once

#include <algorithm>
#include <cstdint>

#include "divide_up.h"
#include "training_program.h"

namespace facegen::cpu {

struct Chunks {
  int64_t images;
  int64_t count() const { return divide_up(images, kChunkImages); }
  int64_t first(int64_t chunk) const { return chunk * kChunkImages; }
  int64_t last(int64_t chunk) const { return std::min(images, (chunk + 1) * kChunkImages); }
};

// Adds up sums of chunks, (chunks, width), into the first.
inline void add_in_pairs(double* sums, int64_t chunks, int64_t width) {
  for (int64_t apart = 1; apart < chunks; apart *= 2) {
    for (int64_t i = 0; i + apart < chunks; i += 2 * apart) {
      double* const to = sums + i * width;
      const double* const from = sums + (i + apart) * width;
      for (int64_t w = 0; w < width; ++w) to[w] += from[w];
    }
  }
}

// The same tree for sums that come one after another: a chunk's is written to next(), push() adds
// what has become a pair. At any time there are as many partial sums as the number of chunks so far
// has ones in binary.
template <typename Number>
class TreeSum {
 public:
  using Add = void (*)(const Number* x, Number* y, int64_t count);

  static int64_t memory_size(int64_t chunks, int64_t width) {
    int64_t levels = 1;
    for (int64_t n = chunks; n > 1; n /= 2) ++levels;
    return levels * width;
  }

  // `memory` holds memory_size numbers.
  TreeSum(Number* memory, int64_t width, Add add) : memory_(memory), width_(width), add_(add) {}

  Number* next() const { return memory_ + depth_ * width_; }
  void push() {
    ++depth_;
    for (int64_t n = count_++; n % 2 == 1; n /= 2) merge();
  }
  const Number* finish() {
    while (depth_ > 1) merge();
    return memory_;
  }

 private:
  void merge() {
    --depth_;
    add_(memory_ + depth_ * width_, memory_ + (depth_ - 1) * width_, width_);
  }

  Number* memory_;
  int64_t width_;
  Add add_;
  int64_t depth_ = 0, count_ = 0;
};

}  // namespace facegen::cpu
