// The memory and the streams that a run needs, and the contexts kept for the next runs.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/fit/chunk_plan.h"
#include "cuda/runtime/memory.h"

namespace facegen::cuda {

struct Slot {
  std::vector<DeviceMemory<float>> in, out;
  std::vector<PinnedMemory<char>> host_in, host_out;  // empty until a batch needs staging
  std::vector<DeviceMemory<uint8_t>> bytes_in, bytes_out;  // empty until a batch comes as bytes
  Event arrived, computed, left;
};

// Everything that one run at a time needs, for up to `capacity` images a chunk.
struct Context {
  int64_t capacity = 0;
  bool has_constants = false;  // whether the constant steps have run
  DeviceMemory<char> arena;
  DeviceMemory<float> scratch;
  std::vector<Slot> slots;
  Stream in, compute, out;
  // Graphs of calls that come again, by all in which calls differ; null: the call came once.
  std::map<std::vector<int64_t>, GraphExec> graphs;
  Event left;  // behind its last user's work, unless that is on the default stream, which lasts
  bool left_on_default = false;

  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context();
};

// One context a thread that runs at the same time. All calls need the device as the current one.
class ContextPool {
 public:
  // `memory_limit` in bytes, 0 for none; `poison`: buffers start as NaN.
  ContextPool(ContextSizes sizes, int64_t max_images, int64_t memory_limit, bool poison);

  // A context for chunks of `images`, or of as many as there is memory for. Throws Error with
  // cudaErrorMemoryAllocation where not even one image fits.
  std::unique_ptr<Context> take(int64_t images);
  void give_back(std::unique_ptr<Context> context);

 private:
  std::unique_ptr<Context> make(int64_t capacity) const;

  const ContextSizes sizes_;
  const int64_t memory_limit_;
  const bool poison_;
  std::atomic<int64_t> affordable_images_;  // falls where memory was short
  std::mutex mutex_;
  std::vector<std::unique_ptr<Context>> free_;
};

}  // namespace facegen::cuda
