#include "cuda/training/arrays.h"

#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "cuda/runtime/device.h"

namespace facegen::cuda {

SharedArray::SharedArray(int device, float* host, int64_t floats) : device_(device), host_(host) {
  const DeviceScope scope(device);
  memory_ = allocate_device<float>(floats);
}

std::shared_ptr<const Event> SharedArray::last_use() const {
  const std::lock_guard lock(mutex_);
  return last_use_;
}

void SharedArray::used(std::shared_ptr<const Event> behind) {
  const std::lock_guard lock(mutex_);
  last_use_ = std::move(behind);
}

void SharedArray::wait_unused() const {
  if (const auto use = last_use()) FACEGEN_CUDA_CHECK(cudaEventSynchronize(use->get()));
}

void SharedArray::upload() {
  newer_ = false;
  if (memory_.count() == 0) return;
  const DeviceScope scope(device_);
  wait_unused();
  FACEGEN_CUDA_CHECK(cudaMemcpy(memory_.get(), host_, static_cast<std::size_t>(memory_.bytes()),
                                cudaMemcpyHostToDevice));
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));  // as upload() of memory.h
}

void SharedArray::download() {
  if (!newer_) return;
  const DeviceScope scope(device_);
  wait_unused();
  FACEGEN_CUDA_CHECK(cudaMemcpy(host_, memory_.get(), static_cast<std::size_t>(memory_.bytes()),
                                cudaMemcpyDeviceToHost));
  newer_ = false;
}

std::shared_ptr<SharedArray> share_array(int device, float* host, int64_t floats) {
  using Key = std::tuple<int, const float*, int64_t>;
  static auto* const mutex = new std::mutex;  // arrays may outlive the module
  static auto* const known = new std::map<Key, std::weak_ptr<SharedArray>>;
  const std::lock_guard lock(*mutex);
  for (auto it = known->begin(); it != known->end();) it = it->second.expired() ? known->erase(it) : std::next(it);
  std::weak_ptr<SharedArray>& place = (*known)[{device, host, floats}];
  std::shared_ptr<SharedArray> array = place.lock();
  if (array == nullptr) {
    array = std::make_shared<SharedArray>(device, host, floats);
    place = array;
  }
  if (!array->is_newer()) array->upload();
  return array;
}

}  // namespace facegen::cuda
