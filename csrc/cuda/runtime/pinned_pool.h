// Pinned host memory that is handed out again and again: pinning costs as much as many copies.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "cuda/runtime/memory.h"

namespace facegen::cuda {

class PinnedPool {
 public:
  using Block = PinnedMemory<char>;

  // At most `limit` bytes are pinned at any time, those in use included.
  explicit PinnedPool(int64_t limit) : limit_(limit) {}

  // At least `bytes`, or an empty block: where that would exceed the limit, where the system
  // refuses, and the first time that a size is asked for (pinning, at 3 GB/s, pays off only if the
  // block is used again and again).
  Block take(int64_t bytes);
  void give_back(Block block);

 private:
  const int64_t limit_;
  std::mutex mutex_;
  int64_t pinned_bytes_ = 0;
  std::set<int64_t> asked_;  // sizes
  std::multimap<int64_t, Block> free_;  // by size
};

// Whether the GPU can copy to and from this memory without staging.
bool is_pinned(const void* memory);

}  // namespace facegen::cuda
