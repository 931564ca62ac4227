#include "cuda/runtime/context.h"

#include <algorithm>
#include <string>
#include <utility>

namespace facegen::cuda {

Context::~Context() {
  // Where a run has failed, copies may still be under way.
  for (const Stream* stream : {&in, &compute, &out}) {
    if (*stream) cudaStreamSynchronize(stream->get());
  }
  if (left) cudaEventSynchronize(left.get());
  if (left_on_default) cudaStreamSynchronize(cudaStreamLegacy);
}

ContextPool::ContextPool(ContextSizes sizes, int64_t max_images, int64_t memory_limit, bool poison)
    : sizes_(std::move(sizes)),
      memory_limit_(memory_limit),
      poison_(poison),
      affordable_images_(max_images) {}

std::unique_ptr<Context> ContextPool::make(int64_t capacity) const {
  const int64_t bytes = sizes_.bytes(capacity);
  if (memory_limit_ > 0 && bytes > memory_limit_) {
    int device = 0;
    FACEGEN_CUDA_CHECK(cudaGetDevice(&device));
    throw Error(cudaErrorMemoryAllocation,
                std::to_string(capacity) + " images need " + std::to_string(bytes) +
                    " bytes on cuda:" + std::to_string(device) + ", more than the limit of " +
                    std::to_string(memory_limit_));
  }
  auto context = std::make_unique<Context>();
  context->capacity = capacity;
  context->arena = allocate_device<char>(4 * sizes_.arena * capacity);
  context->scratch = allocate_device<float>(sizes_.scratch * std::min(capacity, kScratchImages));
  context->in = make_stream();
  context->compute = make_stream();
  context->out = make_stream();
  context->left = make_event();
  for (std::size_t s = 0; s < kSlots; ++s) {
    Slot& slot = context->slots.emplace_back();
    for (const int64_t floats : sizes_.inputs) {
      slot.in.push_back(allocate_device<float>(floats * capacity));
    }
    for (const int64_t floats : sizes_.outputs) {
      slot.out.push_back(allocate_device<float>(floats * capacity));
    }
    slot.host_in.resize(sizes_.inputs.size());
    slot.host_out.resize(sizes_.outputs.size());
    slot.bytes_in.resize(sizes_.inputs.size());
    slot.bytes_out.resize(sizes_.outputs.size());
    slot.arrived = make_event();
    slot.computed = make_event();
    slot.left = make_event();
  }
  if (poison_) {
    // All bits set is NaN in every format.
    const auto fill = [](void* memory, int64_t count) {
      FACEGEN_CUDA_CHECK(cudaMemset(memory, 0xff, static_cast<std::size_t>(count)));
    };
    fill(context->arena.get(), context->arena.bytes());
    fill(context->scratch.get(), context->scratch.bytes());
    for (const Slot& slot : context->slots) {
      for (const auto& array : slot.in) fill(array.get(), array.bytes());
      for (const auto& array : slot.out) fill(array.get(), array.bytes());
    }
    FACEGEN_CUDA_CHECK(cudaDeviceSynchronize());
  }
  return context;
}

std::unique_ptr<Context> ContextPool::take(int64_t images) {
  images = std::min<int64_t>(images, affordable_images_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // The smallest that is large enough.
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      const bool fits = (*it)->capacity >= images;
      if (fits && (best == free_.end() || (*it)->capacity < (*best)->capacity)) best = it;
    }
    if (best != free_.end()) {
      auto context = std::move(*best);
      free_.erase(best);
      return context;
    }
    free_.clear();  // too small ones: their memory serves the larger one
  }
  // Powers of two: a batch slightly larger than the one before needs no new memory.
  int64_t capacity = 1;
  while (capacity < images) capacity *= 2;
  for (capacity = std::min<int64_t>(capacity, affordable_images_);;
       capacity = (capacity + 1) / 2) {
    try {
      return make(capacity);
    } catch (const Error& error) {
      if (error.code != cudaErrorMemoryAllocation || capacity == 1) throw;
    }
    affordable_images_ = (capacity + 1) / 2;
  }
}

void ContextPool::give_back(std::unique_ptr<Context> context) {
  std::lock_guard<std::mutex> lock(mutex_);
  free_.push_back(std::move(context));
}

}  // namespace facegen::cuda
