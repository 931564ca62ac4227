// Where the arrays of a batch, or of a data set, come from: the host, or memory of this GPU that is another
// library's.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "cuda/runtime/blocks.h"

namespace facegen::cuda {

enum class SourceElement { kFloat32, kFloat64, kFloat16, kBfloat16, kUint8, kInt32, kInt64 };

// What is asked of the numbers of a target.
enum class SourceRule { kNumbers, kShares, kLabels };

// (images, h, w, c), whose image i is image first + i * every of the batch. On the host: float32 or int32
// labels, without gaps, checked.
struct Source {
  std::string name;
  const void* data = nullptr;
  int64_t images = 0, first = 0, every = 1;
  bool on_device = false;
  // Of those on the GPU:
  SourceElement element = SourceElement::kFloat32;
  std::array<int64_t, 3> shape = {};    // of an image
  std::array<int64_t, 4> strides = {};  // elements, 0 where a number spreads
  Block* block = nullptr;               // whose memory it is; null: another library's, and
  cudaStream_t stream = nullptr;        // behind this one's work the numbers are there

  // Those of its images, of so many numbers each, that are images of the batch from `begin` on and before `end`.
  Source within(int64_t begin, int64_t end, int64_t floats) const;
};

// What an input or a target is made of, each image by one of them.
using Pieces = std::vector<Source>;

// Copies from pageable memory by way of pinned memory: blocks are filled while others are on their way, behind
// work that was enqueued before. Several threads fill them, since one reads at a fraction of the memory's bandwidth.
// (runtime/host_staging.cpp copies whole batches; blocks are apart.)
class PinnedCopies {
 public:
  explicit PinnedCopies(int threads);
  void copy_up(void* to, const void* from, int64_t bytes, cudaStream_t stream);
  // Images of so many bytes, side by side, to places that are `stride` bytes apart.
  void copy_images_up(void* to, int64_t stride, const void* from, int64_t image_bytes, int64_t images,
                      cudaStream_t stream);

 private:
  struct Staging {
    PinnedMemory<char> memory;
    Event done;
  };
  Staging next(std::size_t taken);
  // Fills blocks of `block_bytes`, the last one maybe less, and has send(block, first, bytes) enqueue the copies of
  // each, of those from byte `first` on.
  template <typename Send>
  void pass(const char* from, int64_t bytes, int64_t block_bytes, cudaStream_t stream, const Send& send);

  int threads_;
  std::deque<Staging> blocks_;  // the next one first
};

class Intake {
 public:
  // So many threads copy on the host.
  explicit Intake(int threads) : copies_(threads) {}
  // The source's images of the batch `to`, (images, h, w, c), on the stream: a copy from the host, which has been
  // read when this returns, or a conversion on the GPU behind the work that makes the numbers; see
  // convert_source. What the source's stream does from then on, or whoever is given the block, is behind it.
  void take(const Source& source, int64_t floats, SourceRule rule, int64_t classes, float* to,
            unsigned long long* place, cudaStream_t stream);
  PinnedCopies& copies() { return copies_; }

 private:
  PinnedCopies copies_;
  Event given_, taken_;  // numbers of other libraries are there, and have been read
};

// The source's images of the batch `to`, (images, h, w, c), become its numbers as float32; labels int32, all
// below 0 as -1. *place becomes the source's lowest index of a number that breaks the rule (a share below 0, a
// label of `classes` or more), or stays.
void convert_source(const Source& source, SourceRule rule, int64_t classes, void* to,
                    unsigned long long* place, cudaStream_t stream);

}  // namespace facegen::cuda
