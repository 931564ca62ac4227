// Arrays of the caller's that training changes, on a GPU. Trainers that share an array on the host share it
// there too: both change the same numbers.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "cuda/runtime/memory.h"

namespace facegen::cuda {

class SharedArray {
 public:
  SharedArray(int device, float* host, int64_t floats);

  float* get() const { return memory_.get(); }
  // The host's numbers are the array's from now on.
  void upload();
  // Makes the host's numbers the array's, where a step has changed these.
  void download();
  void changed() { newer_ = true; }
  // Trainers use the array one after another, in the order in which they enqueue what they do: each first waits for
  // the last use, an event, and then leaves its own. So does the host, before it copies. Between the waiting and the
  // leaving nobody else may enqueue: trainers that share arrays without a common counter of steps, and its lock, must
  // not be called from two threads at once.
  std::shared_ptr<const Event> last_use() const;
  void used(std::shared_ptr<const Event> behind);
  bool is_newer() const { return newer_; }

 private:
  void wait_unused() const;

  int device_;
  float* host_;
  DeviceMemory<float> memory_;
  bool newer_ = false;  // than what the host has
  std::shared_ptr<const Event> last_use_;
  mutable std::mutex mutex_;  // of last_use_
};

// The array of this place on the host, whose numbers it has unless steps have changed them since. The
// caller keeps the host's array for as long as it keeps this.
std::shared_ptr<SharedArray> share_array(int device, float* host, int64_t floats);

}  // namespace facegen::cuda
