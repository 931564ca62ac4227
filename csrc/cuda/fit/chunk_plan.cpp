#include "cuda/fit/chunk_plan.h"

#include <algorithm>
#include <numeric>

namespace facegen::cuda {
namespace {

// A chunk's buffers fill at most this much: enough to fill the GPU, small against its memory.
constexpr int64_t kChunkBytes = int64_t{4} << 30;
// So many images a chunk fill the GPU; more where they are small, since every chunk has its launches.
constexpr int64_t kManyImages = 1024;
constexpr int64_t kSmallBytes = int64_t{256} << 20;
// Kernels number the rows of a chunk in 32 bits.
constexpr int64_t kMaxPixels = int64_t{1} << 30;

}  // namespace

int64_t ContextSizes::image_bytes() const {
  int64_t ends = std::accumulate(inputs.begin(), inputs.end(), int64_t{0});
  ends = std::accumulate(outputs.begin(), outputs.end(), ends);
  return std::max<int64_t>(4 * (arena + static_cast<int64_t>(kSlots) * ends), 4);
}

int64_t ContextSizes::bytes(int64_t images) const {
  return image_bytes() * images + 4 * scratch * std::min(images, kScratchImages);
}

int64_t ContextSizes::images_within(int64_t bytes) const {
  const int64_t few = bytes / (image_bytes() + 4 * scratch);
  if (few < kScratchImages) return few;
  return (bytes - 4 * scratch * kScratchImages) / image_bytes();
}

int64_t plan_chunk(const ContextSizes& sizes, int64_t most_pixels, int64_t wanted) {
  const int64_t many = std::max(kManyImages, sizes.images_within(kSmallBytes));
  const int64_t fitting = std::min(sizes.images_within(kChunkBytes), many);
  return std::max<int64_t>(std::min(wanted > 0 ? wanted : fitting, kMaxPixels / most_pixels), 1);
}

}  // namespace facegen::cuda
