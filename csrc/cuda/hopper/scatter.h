// The last layer of a generator on Hopper: conv_transpose2d, 5x5 or 4x4, stride 2, to at most 3
// channels.
#pragma once

#include <cuda.h>

#include "cuda/gemm.h"
#include "cuda/runtime/memory.h"

namespace facegen::cuda {
namespace hopper {

struct ScatterArguments {
  CUtensorMap input;       // (plane, n, y, x, c), boxes of the pixels of a step
  const uint8_t* weights;  // per 64 channels: hi, lo; row = (ky * kernel + kx) * 3 + channel
  const float* bias;       // (channels) or null
  int32_t images, in_h, channels;
  int32_t bands, band_rows;  // an image is cut into bands of input rows, one for a CTA at a time
  Activation activation;
  float slope;
  float* out;
  bool pairs;  // whether two pixels are three aligned pairs of floats
  int64_t out_image_stride, out_row_stride, out_pixel_stride;  // floats
};

}  // namespace hopper

class HopperScatter final : public Gemm {
 public:
  explicit HopperScatter(const GemmSpec& spec);
  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override;

 private:
  View in_;
  int kernel_;
  bool half_;
  int multiprocessors_ = 0;
  hopper::ScatterArguments fixed_ = {};
  DeviceArray<uint16_t> weights_;
};

}  // namespace facegen::cuda
