// Tensor maps: what the copy engine of Hopper (TMA) has to know of an array to bring boxes of it.
#pragma once

#include <cudaTypedefs.h>

#include <array>

#include "gpu.cuh"
#include "tiles.cuh"

namespace course {

// Sizes and boxes are from the fastest index on; elements are 16-bit. A box's rows of 64 elements, 128
// bytes, are swizzled: the 16-byte unit u of row r lies at r * 128 + (u ^ r % 8) * 16. What a box has
// outside of the array arrives as zeros.
inline CUtensorMap tensor_map(const uint16_t* data, const std::array<int, 5>& sizes,
                              const std::array<int, 5>& box) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
  COURSE_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                               cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess) {
    std::fprintf(stderr, "the NVIDIA driver has no cuTensorMapEncodeTiled: too old\n");
    std::exit(3);
  }
  cuuint64_t lengths[5], strides[4];
  cuuint32_t box_lengths[5];
  const cuuint32_t steps[5] = {1, 1, 1, 1, 1};
  cuuint64_t bytes = 2;
  for (int i = 0; i < 5; ++i) {
    if (i > 0) strides[i - 1] = bytes;
    lengths[i] = static_cast<cuuint64_t>(sizes[i]);
    box_lengths[i] = static_cast<cuuint32_t>(box[i]);
    bytes *= lengths[i];
  }
  CUtensorMap map;
  const CUresult result = reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function)(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 5, const_cast<uint16_t*>(data), lengths, strides,
      box_lengths, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    std::fprintf(stderr, "cuTensorMapEncodeTiled: error %d\n", static_cast<int>(result));
    std::exit(3);
  }
  return map;
}

// Of the input, (plane, n, y, x, c): 64 channels of a box of pixels.
inline CUtensorMap input_map(const Plan& p, const uint16_t* in, int planes, Box box) {
  return tensor_map(in, {p.c, p.w, p.h, p.n, planes}, {64, box.w, box.h, box.n, 1});
}

// Of the weights, (plane, 1, tap, column, c): 64 channels of `columns` columns of a tap.
inline CUtensorMap weight_map(const Plan& p, const uint16_t* weights, int planes, int columns) {
  int taps = 0;
  for (int i = 0; i < p.phases; ++i) taps += p.phase[i].tap_count();
  return tensor_map(weights, {p.c, p.k, taps, 1, planes}, {64, columns, 1, 1, 1});
}

}  // namespace course
