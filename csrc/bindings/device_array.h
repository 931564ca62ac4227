// An array of results in device memory that whoever speaks DLPack can take.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/runtime/memory.h"

namespace facegen {

class DeviceArray {
 public:
  // Freed when the last of those who share it is gone, which waits until the device is done with it.
  struct Memory {
    cuda::DeviceMemory<char> bytes;
    pybind11::object made_of;  // arrays that must stay until the work that reads them is done
    ~Memory();
  };
  DeviceArray(std::vector<int64_t> shape, const std::string& dtype, int device);

  intptr_t pointer() const { return reinterpret_cast<intptr_t>(memory_->bytes.get()); }
  const std::vector<int64_t>& shape() const { return shape_; }
  const std::string& dtype() const { return dtype_; }
  int device() const { return device_; }

  // The values are there behind the work that is on `stream` now, which reads `made_of`.
  void record(intptr_t stream, pybind11::object made_of);
  // A capsule for work on `stream`, which waits for the values. Streams are numbered as by DLPack:
  // None is the legacy default stream, and -1 waits for nothing.
  pybind11::capsule to_capsule(const pybind11::object& stream) const;
  pybind11::array to_numpy() const;

 private:
  std::vector<int64_t> shape_;
  std::string dtype_;
  int device_;
  std::shared_ptr<Memory> memory_;
  std::shared_ptr<cuda::Event> ready_;
};

void bind_device_array(pybind11::module_& m);

}  // namespace facegen
