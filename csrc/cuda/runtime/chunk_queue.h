// The images of a batch, handed out in chunks, also to several GPUs at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace facegen::cuda {

class ChunkQueue {
 public:
  struct Chunk {
    int64_t first, count;
  };

  // Chunks have at least `smallest` images, but for the last.
  ChunkQueue(int64_t images, int64_t gpus, int64_t smallest)
      : images_(images), gpus_(gpus), smallest_(smallest) {}

  // At most `limit` images; count is 0 once there are none left. A chunk is half of a GPU's share of
  // the images that are left: chunks become smaller towards the end, so that the last copies out,
  // which nothing hides, are short, and several GPUs end together.
  Chunk take(int64_t limit) {
    int64_t first = next_;
    int64_t count;
    do {
      const int64_t left = images_ - first;
      if (left <= 0) return {images_, 0};
      count = left / (2 * gpus_) / smallest_ * smallest_;
      count = std::min({std::max(count, smallest_), limit, left});
    } while (!next_.compare_exchange_weak(first, first + count));
    return {first, count};
  }
  // No more chunks for anybody: one of those who take them has failed.
  void stop() { next_ = images_; }
  int64_t images() const { return images_; }
  // No chunk is larger.
  int64_t largest() const {
    return std::min(std::max(smallest_, images_ / (2 * gpus_)), images_);
  }

 private:
  const int64_t images_;
  const int64_t gpus_, smallest_;
  std::atomic<int64_t> next_{0};
};

}  // namespace facegen::cuda
