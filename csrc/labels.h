// Class numbers as the engines take them: int32, those below 0 (no class) all -1.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <type_traits>

#include "divide_up.h"
#include "threads.h"

namespace facegen {

// Whether all are below `classes`; else `to` is not to be used. Both are found in one reading, by several threads: a
// batch may have a label a pixel, some MB.
template <typename Integer>
bool narrow_labels(const Integer* from, int64_t count, int32_t classes, int32_t* to, int threads) {
  constexpr int64_t kTaskLabels = int64_t{1} << 15;  // some 10 us
  std::atomic<bool> fit{true};
  parallel_for(divide_up(count, kTaskLabels), threads, [&](int64_t task, int) {
    const int64_t end = std::min(count, (task + 1) * kTaskLabels);
    bool all = true;
    for (int64_t i = task * kTaskLabels; i < end; ++i) {
      const Integer label = from[i];
      if constexpr (std::is_signed_v<Integer>) {
        all &= label < classes;
        to[i] = label < 0 ? -1 : static_cast<int32_t>(label);
      } else {
        all &= label < static_cast<uint32_t>(classes);
        to[i] = static_cast<int32_t>(label);
      }
    }
    if (!all) fit.store(false, std::memory_order_relaxed);
  });
  return fit.load();
}

}  // namespace facegen
