// Cache-line aligned float storage, on huge pages where it is large.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

#include "divide_up.h"
#include "system.h"

namespace facegen::cpu {

struct FreeDeleter {
  void operator()(void* p) const { free_aligned_bytes(p); }
};

template <typename T>
using AlignedArray = std::unique_ptr<T[], FreeDeleter>;

// Uninitialised. Throws std::bad_alloc.
template <typename T>
AlignedArray<T> allocate_aligned(int64_t count) {
  constexpr int64_t kLine = 64, kHugePage = int64_t{2} << 20;
  constexpr int64_t kMost = int64_t{1} << 60;
  if (count > kMost / static_cast<int64_t>(sizeof(T))) throw std::bad_alloc();
  int64_t bytes = count * static_cast<int64_t>(sizeof(T));
  const int64_t alignment = bytes >= 2 * kHugePage ? kHugePage : kLine;
  bytes = divide_up(bytes, alignment) * alignment;
  void* p = allocate_aligned_bytes(static_cast<std::size_t>(bytes > 0 ? bytes : alignment),
                                   static_cast<std::size_t>(alignment), alignment == kHugePage);
  if (p == nullptr) throw std::bad_alloc();
  return AlignedArray<T>(static_cast<T*>(p));
}

// Memory of one thread that grows and is then reused: the hot path allocates nothing.
class Scratch {
 public:
  // At least `count` elements, contents undefined.
  template <typename T>
  T* get(int64_t count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    if (bytes > bytes_) {
      memory_ = allocate_aligned<char>(bytes);
      bytes_ = bytes;
    }
    return reinterpret_cast<T*>(memory_.get());
  }

 private:
  AlignedArray<char> memory_;
  int64_t bytes_ = 0;
};

}  // namespace facegen::cpu
