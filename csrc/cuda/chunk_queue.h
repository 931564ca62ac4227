// The images of a batch, handed out in chunks, also to several GPUs at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace facegen::cuda {

class ChunkQueue {
 public:
  struct Sizes {
    int64_t largest, smallest;
    int64_t parts;  // a chunk is this part of the images that are left
  };
  struct Chunk {
    int64_t first, count;
  };

  ChunkQueue(int64_t images, Sizes sizes) : images_(images), sizes_(sizes) {}

  // At most `limit` images; count is 0 once there are none left. Chunks become smaller towards the
  // end: the last copies out, which nothing hides, are short, and several GPUs end together.
  Chunk take(int64_t limit) {
    int64_t first = next_;
    int64_t count;
    do {
      const int64_t left = images_ - first;
      if (left <= 0) return {images_, 0};
      count = left / sizes_.parts / sizes_.smallest * sizes_.smallest;
      count = std::clamp(count, sizes_.smallest, sizes_.largest);
      count = std::min({count, limit, left});
    } while (!next_.compare_exchange_weak(first, first + count));
    return {first, count};
  }
  // No more chunks for anybody: one of those who take them has failed.
  void stop() { next_ = images_; }
  int64_t images() const { return images_; }
  // No chunk is larger.
  int64_t largest() const { return std::min(sizes_.largest, images_); }

 private:
  const int64_t images_;
  const Sizes sizes_;
  std::atomic<int64_t> next_{0};
};

}  // namespace facegen::cuda
