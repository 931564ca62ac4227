// The structs of DLPack 1.x (https://dmlc.github.io/dlpack), which arrays of all libraries can be had as.
#pragma once

#include <cstdint>

namespace facegen::dlpack {

enum DeviceType : int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13 };
enum TypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4 };

struct Device {
  int32_t type, index;
};
struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct Tensor {
  void* data;
  Device device;
  int32_t rank;
  DataType type;
  int64_t* shape;
  int64_t* strides;  // elements; null: contiguous
  uint64_t byte_offset;
};
// What a capsule named "dltensor" holds ...
struct Managed {
  Tensor tensor;
  void* context;
  void (*deleter)(Managed*);
};
// ... and one named "dltensor_versioned".
constexpr uint64_t kReadOnly = 1;
struct ManagedVersioned {
  uint32_t major, minor;
  void* context;
  void (*deleter)(ManagedVersioned*);
  uint64_t flags;
  Tensor tensor;
};

}  // namespace facegen::dlpack
