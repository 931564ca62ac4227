#include "cpu/result_pool.h"

#include <utility>

#include "divide_up.h"

namespace facegen::cpu {
namespace {

constexpr int64_t kGranule = int64_t{2} << 20;  // a huge page; blocks of like sizes are reused

}  // namespace

ResultPool::Block ResultPool::take(int64_t bytes) {
  bytes = divide_up(bytes, kGranule) * kGranule;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = free_.lower_bound(bytes);
    if (found != free_.end() && found->first <= 2 * bytes) {
      Block block = std::move(found->second);
      free_.erase(found);
      kept_ -= block.bytes;
      return block;
    }
  }
  return {allocate_aligned<char>(bytes), bytes};
}

void ResultPool::give_back(Block block) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int64_t bytes = block.bytes;
  if (bytes > limit_) return;
  // The smallest ones go first: a larger one may serve in their place.
  while (!free_.empty() && kept_ + bytes > limit_) {
    kept_ -= free_.begin()->first;
    free_.erase(free_.begin());
  }
  kept_ += bytes;
  free_.emplace(bytes, std::move(block));
}

}  // namespace facegen::cpu
