#include "cuda/runtime/pinned_pool.h"
#include "divide_up.h"

#include <utility>

namespace facegen::cuda {
namespace {

constexpr int64_t kGranule = int64_t{2} << 20;  // blocks of slightly different sizes are reused

}  // namespace

PinnedPool::Block PinnedPool::take(int64_t bytes) {
  bytes = divide_up(bytes, kGranule) * kGranule;
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = free_.lower_bound(bytes);
  if (found != free_.end() && found->first <= 2 * bytes) {
    Block block = std::move(found->second);
    free_.erase(found);
    return block;
  }
  if (asked_.insert(bytes).second) return {};
  while (!free_.empty() && pinned_bytes_ + bytes > limit_) {
    pinned_bytes_ -= free_.begin()->first;
    free_.erase(free_.begin());
  }
  if (pinned_bytes_ + bytes > limit_) return {};
  try {
    Block block = allocate_pinned<char>(bytes);
    pinned_bytes_ += bytes;
    return block;
  } catch (const Error&) {
    return {};  // the caller has ordinary memory
  }
}

void PinnedPool::give_back(Block block) {
  std::lock_guard<std::mutex> lock(mutex_);
  const int64_t bytes = block.count();
  free_.emplace(bytes, std::move(block));
}

bool is_pinned(const void* memory) {
  cudaPointerAttributes attributes;
  FACEGEN_CUDA_CHECK(cudaPointerGetAttributes(&attributes, memory));
  return attributes.type == cudaMemoryTypeHost;
}

}  // namespace facegen::cuda
