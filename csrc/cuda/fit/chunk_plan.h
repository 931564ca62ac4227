// How many images of a batch are computed at a time, by the memory that they take.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/tensor.h"

namespace facegen::cuda {

constexpr std::size_t kSlots = 3;  // one travels in, one is computed, one travels out

// Sizes of one image's buffers, in floats.
struct ContextSizes {
  std::vector<int64_t> inputs, outputs;
  int64_t arena = 0;
  int64_t scratch = 0;  // for the first kScratchImages images

  int64_t image_bytes() const;                // without scratch memory
  int64_t bytes(int64_t images) const;        // of all buffers on the device
  int64_t images_within(int64_t bytes) const;  // as many as take no more; 0: one takes more
};

// Images of a chunk: as many as are `wanted`, or where that is 0, as fill the GPU and not its memory; 1 at least.
// `most_pixels`: of a map of one image.
int64_t plan_chunk(const ContextSizes& sizes, int64_t most_pixels, int64_t wanted);

}  // namespace facegen::cuda
