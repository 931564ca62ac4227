// A data set on the GPU, whose rows are the batches of many steps.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/runtime/memory.h"

namespace facegen::cuda {

struct HeldArrays {
  int device;
  int64_t images;
  // By inputs, then by targets: (images, floats). Labels are int32.
  std::vector<DeviceMemory<float>> arrays;
  std::vector<int64_t> floats;  // of an image
};

}  // namespace facegen::cuda
