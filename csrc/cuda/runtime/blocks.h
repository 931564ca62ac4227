// Device memory of arrays that come and go, which is kept for the next ones: cudaMalloc takes 90 us, and cudaFree
// waits for the whole device.
//
// A block knows who uses it: an event behind the work that writes it, and one of each stream with work that reads
// it. So it may be given back while that is still under way, and whoever is handed it next writes behind it. A stream
// that is made may have the handle of one that is gone: whoever destroys a stream first waits for what is on it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "cuda/runtime/memory.h"

namespace facegen::cuda {

// Functions that take no stream wait on the host. Several threads may call them.
class Block {
 public:
  Block(int device, int64_t bytes);
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  char* get() const { return memory_.get(); }
  int64_t bytes() const { return memory_.bytes(); }
  int device() const { return device_; }

  // What is on the stream from now on may write: it is behind all who have written and read.
  void wait_unused(cudaStream_t stream) const;
  bool is_unused() const;
  // The numbers are there behind what is on the stream now ...
  void written(cudaStream_t stream);
  // ... and what is on this one from now on may read them.
  void wait_written(cudaStream_t stream) const;
  void wait_written() const;
  // What is on the stream now reads them.
  void read(cudaStream_t stream);

 private:
  int device_;
  DeviceMemory<char> memory_;
  Event written_;
  std::vector<std::pair<cudaStream_t, Event>> reads_;  // by stream, the last
  mutable std::mutex mutex_;                           // of reads_
};

// At least so many bytes. With `unused` nobody uses them any more; otherwise whoever writes waits first, see
// wait_unused. Throws Error with cudaErrorMemoryAllocation.
std::unique_ptr<Block> take_block(int device, int64_t bytes, bool unused);
// For others who ask; what uses the block may be under way.
void give_back(std::unique_ptr<Block> block) noexcept;

}  // namespace facegen::cuda
