// An array of results in device memory that whoever speaks DLPack can take.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/runtime/blocks.h"

namespace facegen {

class DeviceArray {
 public:
  // Given back when the last of those who share it is gone. What others have had by DLPack is freed, which waits
  // for the device: nobody knows on which streams they use it.
  struct Memory {
    std::unique_ptr<cuda::Block> block;
    bool is_lent = false;
    pybind11::object made_of;  // arrays that must stay until the work that reads them is done
    ~Memory();
  };
  // With `ordered` only what waits for block() to be unused may write.
  DeviceArray(std::vector<int64_t> shape, const std::string& dtype, int device, bool ordered);

  intptr_t pointer() const { return reinterpret_cast<intptr_t>(memory_->block->get()); }
  const std::vector<int64_t>& shape() const { return shape_; }
  const std::string& dtype() const { return dtype_; }
  int device() const { return device_; }
  int64_t bytes() const { return bytes_; }
  std::vector<int64_t> strides() const;  // elements
  bool is_lent() const { return memory_->is_lent; }
  cuda::Block& block() const { return *memory_->block; }

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
  int64_t bytes_;
  std::shared_ptr<Memory> memory_;
};

void bind_device_array(pybind11::module_& m);

}  // namespace facegen
