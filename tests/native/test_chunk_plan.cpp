// Chunks of a batch: as large as the memory for them allows, and no larger.
#include <cstdint>
#include <random>

#include "check.h"
#include "cuda/fit/chunk_plan.h"

using namespace facegen::cuda;

namespace {

constexpr int64_t kMiB = int64_t{1} << 20, kGiB = int64_t{1} << 30;

// Images that take `image` bytes each, and `scratch` for each of the first.
ContextSizes sizes_of(int64_t image, int64_t scratch) {
  ContextSizes sizes;
  sizes.arena = image / 4 - 6;
  sizes.inputs = sizes.outputs = {1};
  sizes.scratch = scratch / 4;
  CHECK(sizes.image_bytes() == image);
  return sizes;
}

void test_images_within(const ContextSizes& sizes, int64_t bytes) {
  const int64_t images = sizes.images_within(bytes);
  CHECK(images >= 0 && (images == 0 || sizes.bytes(images) <= bytes) && sizes.bytes(images + 1) > bytes);
}

int64_t chunk(int64_t image, int64_t scratch, int64_t most_pixels = 1, int64_t wanted = 0) {
  return plan_chunk(sizes_of(image, scratch), most_pixels, wanted);
}

}  // namespace

int main() {
  std::mt19937 random(1);
  const auto any = [&](int64_t to) { return std::uniform_int_distribution<int64_t>(0, to)(random); };
  for (int i = 0; i < 10000; ++i) {
    test_images_within(sizes_of(4 * any(10000) + 24, 4 * any(1) * any(100000)), any(10000000));
  }
  // Small images fill 256 MiB, others are 1,024, large ones fill 4 GiB.
  CHECK(chunk(kMiB / 64, 0) == 16384);
  CHECK(chunk(kMiB, 0) == 1024);
  CHECK(chunk(16 * kMiB, 0) == 256);
  CHECK(chunk(8 * kGiB, 0) == 1);
  // Scratch memory is for eight of them ...
  CHECK(chunk(8 * kMiB, 64 * kMiB) == 448);
  // ... or fewer, where eight im2col matrices are more than a chunk.
  CHECK(chunk(8 * kMiB, kGiB) == 3);
  CHECK(chunk(8 * kMiB, 5 * kGiB) == 1);
  // What a caller wants is as much as rows can be numbered.
  CHECK(chunk(8 * kMiB, kGiB, 1, 64) == 64);
  CHECK(chunk(kMiB, 0, kMiB, 2000) == 1024);
  CHECK(chunk(kMiB, 0, 2 * kGiB, 2000) == 1);
}
