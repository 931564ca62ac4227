// Memory of large results, handed out again and again: the system maps large blocks anew each time,
// and every page of them costs a fault when it is first written.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "cpu/memory.h"

namespace facegen::cpu {

class ResultPool {
 public:
  struct Block {
    AlignedArray<char> memory;
    int64_t bytes = 0;
  };

  // Keeps at most `limit` bytes that nobody uses.
  explicit ResultPool(int64_t limit) : limit_(limit) {}

  // At least `bytes`, uninitialised. Throws std::bad_alloc.
  Block take(int64_t bytes);
  void give_back(Block block);

 private:
  const int64_t limit_;
  std::mutex mutex_;
  int64_t kept_ = 0;
  std::multimap<int64_t, Block> free_;  // by size
};

}  // namespace facegen::cpu
