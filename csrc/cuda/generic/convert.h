// Between the caller's arrays, of any element and strides, and those that the steps read and write.
#pragma once

#include <cuda_runtime_api.h>

#include "cuda/caller_array.h"

namespace facegen::cuda {

// Both take so many images from the array's first on; `floats` are contiguous, (n, y, x, c).
void read_array(const CallerArray& array, int64_t images, float* floats, cudaStream_t stream);
void write_array(const CallerArray& array, int64_t images, const float* floats,
                 cudaStream_t stream);

}  // namespace facegen::cuda
