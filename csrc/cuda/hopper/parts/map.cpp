#include "cuda/hopper/parts/map.h"

#include <cudaTypedefs.h>

#include <algorithm>
#include <array>
#include <string>

#include "cuda/runtime/error.h"

namespace facegen::cuda::hopper {
namespace {

PFN_cuTensorMapEncodeTiled_v12000 encode_function() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found;
#if CUDART_VERSION >= 12050
  FACEGEN_CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                      cudaEnableDefault, &found));
#else
  FACEGEN_CUDA_CHECK(
      cudaGetDriverEntryPoint("cuTensorMapEncodeTiled", &function, cudaEnableDefault, &found));
#endif
  if (found != cudaDriverEntryPointSuccess) {
    throw Error(cudaErrorNotSupported, "the NVIDIA driver has no cuTensorMapEncodeTiled: too old");
  }
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
}

PFN_cuTensorMapEncodeTiled_v12000 encode_map() {
  static const PFN_cuTensorMapEncodeTiled_v12000 encode = encode_function();
  return encode;
}

void check(CUresult result) {
  if (result == CUDA_SUCCESS) return;
  throw Error(cudaErrorInvalidValue, "cuTensorMapEncodeTiled: " + std::to_string(static_cast<int>(result)));
}

// Boxes of `lengths` (c, x, y, n) at every `steps`-th position.
CUtensorMap make_map(const View& view, const Images& in, int64_t images,
                     const std::array<int, 4>& lengths, const std::array<int, 4>& steps,
                     CUtensorMapSwizzle swizzle) {
  const bool half = in.format == Format::kHalf;
  const cuuint64_t planes = half ? 1 : 2;
  const auto stride = [](int64_t elements) { return static_cast<cuuint64_t>(2 * elements); };
  const cuuint64_t sizes[5] = {static_cast<cuuint64_t>(view.c), static_cast<cuuint64_t>(view.w),
                               static_cast<cuuint64_t>(view.h), static_cast<cuuint64_t>(images),
                               planes};
  const cuuint64_t strides[4] = {stride(view.pixel_stride), stride(view.pixel_stride * view.w),
                                 stride(in.image_stride),
                                 stride(half ? in.image_stride : in.plane)};
  cuuint32_t box[5] = {1, 1, 1, 1, 1}, positions[5] = {1, 1, 1, 1, 1};
  std::copy(lengths.begin(), lengths.end(), box);
  std::copy(steps.begin(), steps.end(), positions);
  CUtensorMap map;
  check(encode_map()(
      &map, half ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 5, in.data,
      sizes, strides, box, positions, CU_TENSOR_MAP_INTERLEAVE_NONE, swizzle,
      CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
  return map;
}

}  // namespace

CUtensorMap input_map(const View& view, const Images& in, int64_t images, Box box, int step_y,
                      int step_x) {
  const auto length = [](int log2, int step) { return ((1 << log2) - 1) * step + 1; };
  return make_map(view, in, images,
                  {kBlockChannels, length(box.log2_w, step_x), length(box.log2_h, step_y), 1 << box.log2_n},
                  {1, step_x, step_y, 1}, CU_TENSOR_MAP_SWIZZLE_128B);
}

CUtensorMap patch_map(const View& view, const Images& in, int64_t images, int channels, int height,
                      int width) {
  return make_map(view, in, images, {channels, width, height, 1}, {1, 1, 1, 1},
                  CU_TENSOR_MAP_SWIZZLE_NONE);
}

CUtensorMap weight_map(const View& weight, const Images& in, int rows) {
  return make_map(weight, in, 1, {kBlockChannels, 1, rows, 1}, {1, 1, 1, 1}, CU_TENSOR_MAP_SWIZZLE_128B);
}

CUtensorMap float_map(const FloatTensor& tensor, const std::array<uint32_t, 5>& box) {
  cuuint64_t sizes[5], strides[4];
  std::copy_n(tensor.sizes, 5, sizes);
  for (int i = 0; i < 4; ++i) strides[i] = static_cast<cuuint64_t>(4 * tensor.strides[i]);
  const cuuint32_t steps[5] = {1, 1, 1, 1, 1};
  CUtensorMap map;
  check(encode_map()(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, 5, tensor.data, sizes, strides, box.data(), steps,
                     CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_NONE,
                     CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE));
  return map;
}

}  // namespace facegen::cuda::hopper
