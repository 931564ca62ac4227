// Owners of what CUDA hands out: device and pinned memory, streams, events.
//
// Destructors ignore errors: at exit the runtime may be gone, and after a fault on the device
// every call fails, yet the objects must go.
#pragma once

#include <cstdint>
#include <utility>

#include "cuda/runtime/error.h"

namespace facegen::cuda {

template <typename T, cudaError_t (*Release)(T)>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) : value_(value) {}
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Handle() {
    if (value_ != T{}) Release(value_);
  }
  T get() const { return value_; }
  explicit operator bool() const { return value_ != T{}; }

 private:
  T value_{};
};

using Stream = Handle<cudaStream_t, cudaStreamDestroy>;
using Event = Handle<cudaEvent_t, cudaEventDestroy>;
using Graph = Handle<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Handle<cudaGraphExec_t, cudaGraphExecDestroy>;

inline Stream make_stream() {
  cudaStream_t stream;
  FACEGEN_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

// Waiting for one sleeps rather than spins unless `timing`, which measures.
inline Event make_event(bool timing = false) {
  cudaEvent_t event;
  FACEGEN_CUDA_CHECK(
      cudaEventCreateWithFlags(&event, timing ? cudaEventDefault : cudaEventDisableTiming));
  return Event(event);
}

// Memory for `count` elements, uninitialised.
template <typename T, cudaError_t (*Release)(void*)>
class Memory {
 public:
  Memory() = default;
  Memory(void* memory, int64_t count) : memory_(memory), count_(count) {}
  T* get() const { return static_cast<T*>(memory_.get()); }
  int64_t count() const { return count_; }
  int64_t bytes() const { return count_ * static_cast<int64_t>(sizeof(T)); }

 private:
  Handle<void*, Release> memory_;
  int64_t count_ = 0;
};

template <typename T>
using DeviceMemory = Memory<T, cudaFree>;
template <typename T>
using PinnedMemory = Memory<T, cudaFreeHost>;

// ---- blocks.cpp: of the current device
// Frees what is kept for arrays that may come; whether there was something.
bool free_unused_blocks();
// By cudaMalloc, for which unused blocks are freed where it fails.
void* allocate_bytes(int64_t bytes);

// Throws Error with cudaErrorMemoryAllocation where there is not enough.
template <typename T>
DeviceMemory<T> allocate_device(int64_t count) {
  void* const memory = count > 0 ? allocate_bytes(count * static_cast<int64_t>(sizeof(T))) : nullptr;
  return {memory, count};
}

template <typename T>
PinnedMemory<T> allocate_pinned(int64_t count) {
  void* memory = nullptr;
  if (count > 0) {
    FACEGEN_CUDA_CHECK(cudaHostAlloc(&memory, static_cast<std::size_t>(count) * sizeof(T),
                                     cudaHostAllocPortable));
  }
  return {memory, count};
}

// A copy of host memory; complete when it returns.
template <typename T>
DeviceMemory<T> upload(const T* values, int64_t count) {
  DeviceMemory<T> result = allocate_device<T>(count);
  if (count > 0) {
    FACEGEN_CUDA_CHECK(cudaMemcpy(result.get(), values, static_cast<std::size_t>(count) * sizeof(T),
                                  cudaMemcpyHostToDevice));
    // A small copy may be on its way when cudaMemcpy returns, and our streams wait for no other.
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));
  }
  return result;
}

}  // namespace facegen::cuda
