#include "cuda/runtime/host_staging.h"

#include <algorithm>
#include <cstring>

#include "cuda/runtime/pinned_pool.h"
#include "threads.h"

namespace facegen::cuda {
namespace {

constexpr int64_t kCopyBytes = int64_t{1} << 20;  // of one task of a copy

void copy_on_host(float* to, const float* from, int64_t floats, int threads) {
  const int64_t bytes = floats * int64_t{sizeof(float)};
  const auto copy = [&](int64_t task, int) {
    const int64_t first = task * kCopyBytes;
    std::memcpy(reinterpret_cast<char*>(to) + first, reinterpret_cast<const char*>(from) + first,
                static_cast<std::size_t>(std::min(kCopyBytes, bytes - first)));
  };
  parallel_for((bytes + kCopyBytes - 1) / kCopyBytes, threads, copy);
}

}  // namespace

HostStaging::HostStaging(const ContextSizes& sizes, const float* const* inputs,
                         float* const* outputs, int64_t capacity, int threads)
    : sizes_(sizes), inputs_(inputs), outputs_(outputs), capacity_(capacity), threads_(threads) {
  for (std::size_t i = 0; i < sizes.inputs.size(); ++i) in_pinned_.push_back(is_pinned(inputs[i]));
  for (std::size_t i = 0; i < sizes.outputs.size(); ++i) {
    out_pinned_.push_back(is_pinned(outputs[i]));
  }
}

std::vector<const float*> HostStaging::bring_in(Slot& slot, int64_t first, int64_t count,
                                                bool always_copy) const {
  std::vector<const float*> places;
  for (std::size_t i = 0; i < sizes_.inputs.size(); ++i) {
    const float* from = inputs_[i] + first * sizes_.inputs[i];
    if (always_copy || !in_pinned_[i]) {
      float* to = staging(slot.host_in[i], sizes_.inputs[i]);
      copy_on_host(to, from, count * sizes_.inputs[i], threads_);
      from = to;
    }
    places.push_back(from);
  }
  return places;
}

std::vector<float*> HostStaging::places_out(Slot& slot, int64_t first) const {
  std::vector<float*> places;
  for (std::size_t i = 0; i < sizes_.outputs.size(); ++i) {
    places.push_back(out_pinned_[i] ? outputs_[i] + first * sizes_.outputs[i]
                                    : staging(slot.host_out[i], sizes_.outputs[i]));
  }
  return places;
}

void HostStaging::bring_out(const Slot& slot, int64_t first, int64_t count) const {
  for (std::size_t i = 0; i < sizes_.outputs.size(); ++i) {
    if (out_pinned_[i]) continue;
    copy_on_host(outputs_[i] + first * sizes_.outputs[i], slot.host_out[i].get(),
                 count * sizes_.outputs[i], threads_);
  }
}

float* HostStaging::staging(PinnedArray<float>& array, int64_t floats) const {
  if (array.get() == nullptr) array = allocate_pinned<float>(floats * capacity_);
  return array.get();
}

}  // namespace facegen::cuda
