#include "cuda/runtime/blocks.h"

#include <algorithm>
#include <map>

#include "cuda/runtime/device.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

// Kept unused: a share of the device's memory, 2 GB of an H200, and so many blocks.
constexpr int64_t kShareOfMemory = 64;
constexpr std::size_t kMostBlocks = 64;
constexpr int64_t kGranule = 512;  // bytes

struct Cache {
  int64_t most_bytes = 0;
  std::vector<std::unique_ptr<Block>> blocks;  // the oldest first
  int64_t bytes = 0;
};

// Arrays may outlive the module.
std::mutex& mutex() {
  static auto* const made = new std::mutex;
  return *made;
}

std::map<int, Cache>& caches() {
  static auto* const made = new std::map<int, Cache>;
  return *made;
}

void wait(cudaStream_t stream, const Event& event) {
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream, event.get(), 0));
}

bool is_over(const Event& event) {
  if (cudaEventQuery(event.get()) == cudaSuccess) return true;
  cudaGetLastError();  // "not ready" must not be blamed on the next launch
  return false;
}

}  // namespace

Block::Block(int device, int64_t bytes)
    : device_(device), memory_(allocate_device<char>(bytes)), written_(make_event()) {}

void Block::wait_unused(cudaStream_t stream) const {
  const std::lock_guard lock(mutex_);
  wait(stream, written_);
  for (const auto& read : reads_) wait(stream, read.second);
}

bool Block::is_unused() const {
  const std::lock_guard lock(mutex_);
  return is_over(written_) &&
         std::all_of(reads_.begin(), reads_.end(), [](const auto& read) { return is_over(read.second); });
}

void Block::written(cudaStream_t stream) { FACEGEN_CUDA_CHECK(cudaEventRecord(written_.get(), stream)); }

void Block::wait_written(cudaStream_t stream) const { wait(stream, written_); }

void Block::wait_written() const { FACEGEN_CUDA_CHECK(cudaEventSynchronize(written_.get())); }

void Block::read(cudaStream_t stream) {
  const std::lock_guard lock(mutex_);
  auto found = std::find_if(reads_.begin(), reads_.end(), [&](const auto& read) { return read.first == stream; });
  if (found == reads_.end()) found = reads_.emplace(reads_.end(), stream, make_event());
  FACEGEN_CUDA_CHECK(cudaEventRecord(found->second.get(), stream));
}

std::unique_ptr<Block> take_block(int device, int64_t bytes, bool unused) {
  bytes = divide_up(bytes, kGranule) * kGranule;
  const DeviceScope scope(device);
  {
    const std::lock_guard lock(mutex());
    Cache& cache = caches()[device];
    if (cache.most_bytes == 0) {
      cache.most_bytes = find_device(device).memory_bytes / kShareOfMemory;
      cache.blocks.reserve(kMostBlocks + 1);
    }
    const auto found = std::find_if(cache.blocks.begin(), cache.blocks.end(), [&](const auto& block) {
      return block->bytes() >= bytes && block->bytes() <= bytes + bytes / 4 && (!unused || block->is_unused());
    });
    if (bytes > 0 && found != cache.blocks.end()) {
      std::unique_ptr<Block> block = std::move(*found);
      cache.blocks.erase(found);
      cache.bytes -= block->bytes();
      return block;
    }
  }
  return std::make_unique<Block>(device, bytes);
}

void give_back(std::unique_ptr<Block> block) noexcept {
  if (block == nullptr || block->bytes() == 0) return;
  std::unique_ptr<Block> dropped[kMostBlocks + 1];  // freed without the lock, as that waits
  const std::lock_guard lock(mutex());
  Cache& cache = caches()[block->device()];
  cache.bytes += block->bytes();
  cache.blocks.push_back(std::move(block));
  for (std::size_t i = 0; cache.bytes > cache.most_bytes || cache.blocks.size() > kMostBlocks; ++i) {
    cache.bytes -= cache.blocks.front()->bytes();
    dropped[i] = std::move(cache.blocks.front());
    cache.blocks.erase(cache.blocks.begin());
  }
}

bool free_unused_blocks() {
  int device = 0;
  FACEGEN_CUDA_CHECK(cudaGetDevice(&device));
  std::vector<std::unique_ptr<Block>> dropped;  // freed without the lock, as that waits
  const std::lock_guard lock(mutex());
  Cache& cache = caches()[device];
  while (!cache.blocks.empty()) {
    dropped.push_back(std::move(cache.blocks.back()));
    cache.blocks.pop_back();
  }
  cache.bytes = 0;
  return !dropped.empty();
}

void* allocate_bytes(int64_t bytes) {
  void* memory = nullptr;
  const auto size = static_cast<std::size_t>(bytes);
  if (cudaMalloc(&memory, size) == cudaSuccess) return memory;
  cudaGetLastError();
  free_unused_blocks();
  FACEGEN_CUDA_CHECK(cudaMalloc(&memory, size));
  return memory;
}

}  // namespace facegen::cuda
