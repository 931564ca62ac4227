// Tensor maps: how the copy engine sees activations in device memory.
#pragma once

#include <cuda.h>

#include <array>
#include <cstdint>

#include "cuda/fit/box.h"
#include "cuda/tensor.h"
#include "program.h"

namespace facegen::cuda::hopper {

// Of the 16-bit values of `in` as a (plane, n, y, x, c) tensor: boxes of one plane, the pixels of
// `box` at every step-th position, and 64 channels, with 128-byte swizzle. What a box has outside
// the tensor arrives as zeros. Strides and addresses must be multiples of 16 bytes.
CUtensorMap input_map(const View& view, const Images& in, int64_t images, Box box, int step_y,
                      int step_x);

// The same with boxes of `channels` and height x width pixels of an image, without swizzle.
CUtensorMap patch_map(const View& view, const Images& in, int64_t images, int channels, int height,
                      int width);

// Of a weight (plane, output channel, tap, input channel): boxes of 64 input channels of a tap, of `rows`
// output channels, with 128-byte swizzle. The coordinates are (plane, 0, output channel, tap, input channel).
CUtensorMap weight_map(const View& weight, const Images& in, int rows);

// Float32 numbers as a tensor of five axes, the first of neighbours; strides, in floats, are those of the others.
struct FloatTensor {
  float* data;
  int64_t sizes[5], strides[4];
};
// Boxes of 32 neighbours, with 128-byte swizzle. Strides and addresses must be multiples of 16 bytes.
CUtensorMap float_map(const FloatTensor& tensor, const std::array<uint32_t, 5>& box);

}  // namespace facegen::cuda::hopper
