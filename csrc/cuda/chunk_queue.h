// The images of a batch, handed out in chunks, also to several GPUs at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace facegen::cuda {

class ChunkQueue {
 public:
  ChunkQueue(int64_t images, int64_t chunk) : images_(images), chunk_(chunk) {}

  struct Chunk {
    int64_t first, count;
  };
  // At most `limit` images; count is 0 once there are none left.
  Chunk take(int64_t limit) {
    const int64_t most = std::min(limit, chunk_);
    int64_t first = next_;
    int64_t count;
    do {
      count = std::min(most, images_ - first);
      if (count <= 0) return {images_, 0};
    } while (!next_.compare_exchange_weak(first, first + count));
    return {first, count};
  }
  // No more chunks for anybody: one of those who take them has failed.
  void stop() { next_ = images_; }
  int64_t images() const { return images_; }
  int64_t chunk() const { return chunk_; }

 private:
  const int64_t images_, chunk_;
  std::atomic<int64_t> next_{0};
};

}  // namespace facegen::cuda
