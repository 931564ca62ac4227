// Where the arrays of a batch, or of a data set, come from: the host, or memory of this GPU that is another
// library's.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>
#include <string>

#include "cuda/runtime/memory.h"

namespace facegen::cuda {

enum class SourceElement { kFloat32, kFloat64, kFloat16, kBfloat16, kUint8, kInt32, kInt64 };

// What is asked of the numbers of a target.
enum class SourceRule { kNumbers, kShares, kLabels };

// (images, h, w, c). On the host: float32 or int32 labels, without gaps, checked.
struct Source {
  std::string name;
  const void* data = nullptr;
  bool on_device = false;
  // Of those on the GPU:
  SourceElement element = SourceElement::kFloat32;
  std::array<int64_t, 3> shape = {};    // of an image
  std::array<int64_t, 4> strides = {};  // elements, 0 where a number spreads
  cudaStream_t stream = nullptr;        // behind whose work the numbers are there
};

// Copies from pageable memory by way of pinned memory: one block is filled while the other is on its way.
class PinnedCopies {
 public:
  void copy_up(void* to, const void* from, int64_t bytes, cudaStream_t stream);

 private:
  struct Block {
    PinnedMemory<char> memory;
    Event done;
  };
  Block blocks_[2];
  int next_ = 0;
};

// to (images, h, w, c) = the numbers as float32; of labels as int32, all below 0 as -1. *place becomes the
// lowest index of a number that breaks the rule (a share below 0, a label of `classes` or more), or stays.
void convert_source(const Source& source, int64_t images, SourceRule rule, int64_t classes, void* to,
                    unsigned long long* place, cudaStream_t stream);

}  // namespace facegen::cuda
