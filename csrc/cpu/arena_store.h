// The arenas of an executable, kept for its next runs.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "cpu/memory.h"

namespace facegen::cpu {

struct Arena {
  AlignedArray<float> memory;
  int64_t floats = 0;
};

// One arena a thread that runs at once. There is no lock: one that another thread holds while the
// process forks would stay locked in the child.
class ArenaStore {
 public:
  ArenaStore() = default;
  ArenaStore(const ArenaStore&) = delete;
  ArenaStore& operator=(const ArenaStore&) = delete;
  ~ArenaStore() {
    for (std::atomic<Arena*>& place : places_) delete place.load();
  }

  // An arena of at least so many floats.
  std::unique_ptr<Arena> take(int64_t floats) {
    for (std::atomic<Arena*>& place : places_) {
      std::unique_ptr<Arena> arena(place.exchange(nullptr, std::memory_order_acquire));
      if (arena == nullptr) continue;
      if (arena->floats >= floats) return arena;
      break;
    }
    return std::make_unique<Arena>(Arena{allocate_aligned<float>(floats), floats});
  }

  void give_back(std::unique_ptr<Arena> arena) {
    for (std::atomic<Arena*>& place : places_) {
      Arena* none = nullptr;
      if (!place.compare_exchange_strong(none, arena.get(), std::memory_order_release)) continue;
      arena.release();
      return;
    }
  }

 private:
  std::array<std::atomic<Arena*>, 16> places_{};  // further ones are freed
};

}  // namespace facegen::cpu
