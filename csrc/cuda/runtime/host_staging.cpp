#include "cuda/runtime/host_staging.h"

#include <algorithm>
#include <cstring>

#include "cuda/runtime/pinned_pool.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cuda {
namespace {

constexpr int64_t kCopyBytes = int64_t{1} << 20;  // of one task of a copy

void copy_on_host(void* to, const void* from, int64_t bytes, int threads) {
  const auto copy = [&](int64_t task, int) {
    const int64_t first = task * kCopyBytes;
    std::memcpy(static_cast<char*>(to) + first, static_cast<const char*>(from) + first,
                static_cast<std::size_t>(std::min(kCopyBytes, bytes - first)));
  };
  parallel_for(divide_up(bytes, kCopyBytes), threads, copy);
}

}  // namespace

HostStaging::HostStaging(const std::vector<CallerArray>& inputs,
                         const std::vector<CallerArray>& outputs, int64_t capacity, int threads)
    : inputs_(inputs), outputs_(outputs), capacity_(capacity), threads_(threads) {
  for (const CallerArray& input : inputs) in_pinned_.push_back(is_pinned(input.data));
  for (const CallerArray& output : outputs) out_pinned_.push_back(is_pinned(output.data));
}

std::vector<const void*> HostStaging::bring_in(Slot& slot, int64_t first, int64_t count,
                                               bool always_copy) const {
  std::vector<const void*> places;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const void* from = inputs_[i].image(first);
    if (always_copy || !in_pinned_[i]) {
      void* to = staging(slot.host_in[i], 4 * inputs_[i].image_values());
      copy_on_host(to, from, count * inputs_[i].image_bytes(), threads_);
      from = to;
    }
    places.push_back(from);
  }
  return places;
}

std::vector<void*> HostStaging::places_out(Slot& slot, int64_t first) const {
  std::vector<void*> places;
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    places.push_back(out_pinned_[i] ? outputs_[i].image(first)
                                    : staging(slot.host_out[i], 4 * outputs_[i].image_values()));
  }
  return places;
}

void HostStaging::bring_out(const Slot& slot, int64_t first, int64_t count) const {
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    if (out_pinned_[i]) continue;
    copy_on_host(outputs_[i].image(first), slot.host_out[i].get(),
                 count * outputs_[i].image_bytes(), threads_);
  }
}

void* HostStaging::staging(PinnedMemory<char>& array, int64_t image_bytes) const {
  if (array.get() == nullptr) array = allocate_pinned<char>(image_bytes * capacity_);
  return array.get();
}

}  // namespace facegen::cuda
