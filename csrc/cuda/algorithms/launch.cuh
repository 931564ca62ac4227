// The executor of convolution.h on a GPU: every `each` and every `blocks` is a kernel.
#pragma once

#include <cstdint>

#include "cuda/algorithms/convolution.h"
#include "cuda/generic/element.cuh"
#include "cuda/layer.h"
#include "cuda/runtime/error.h"
#include "divide_up.h"

namespace facegen::cuda::algorithms {

constexpr int kEachThreads = 256;

template <class Body>
__global__ void __launch_bounds__(kEachThreads)
    each_kernel(const __grid_constant__ Body body, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kEachThreads + threadIdx.x;
  if (i < count) body(i);
}

template <class Body>
struct GpuBlock {
  typename Body::Shared& shared;
  typename Body::Registers& registers;

  template <class Turn>
  __device__ void each(const Turn& turn) {
    turn(shared, registers, static_cast<int>(threadIdx.x));
    __syncthreads();
  }
};

template <class Body>
__global__ void __launch_bounds__(Body::kThreads) block_kernel(const __grid_constant__ Body body) {
  __shared__ typename Body::Shared shared;
  typename Body::Registers registers;
  GpuBlock<Body> block = {shared, registers};
  body(block, int64_t{blockIdx.x}, int64_t{blockIdx.y});
}

struct GpuExecutor {
  cudaStream_t stream;

  template <class Body>
  void each(int64_t count, const Body& body) const {
    if (count == 0) return;
    const auto blocks = static_cast<unsigned>(divide_up(count, kEachThreads));
    each_kernel<<<blocks, kEachThreads, 0, stream>>>(body, count);
    FACEGEN_CUDA_CHECK_LAUNCH("each_kernel");
  }

  template <class Body>
  void blocks(int64_t count, int64_t batch, const Body& body) const {
    const dim3 grid(static_cast<unsigned>(count), static_cast<unsigned>(batch));
    block_kernel<<<grid, Body::kThreads, 0, stream>>>(body);
    FACEGEN_CUDA_CHECK_LAUNCH("block_kernel");
  }
};

// What is done with a sum: the step's epilogue.
struct Finish {
  DeviceEpilogue epilogue;
  Operand out;

  __device__ void operator()(int64_t image, int64_t pixel, int n, float sum) const {
    finish(epilogue, out, image, pixel, n, sum);
  }
};

// What the classes of the algorithms share.
class NamedLayer : public Layer {
 protected:
  explicit NamedLayer(const GemmSpec& spec) : Layer(spec), convolution_(spec.step) {}

  Map input(const Operands& operands) const {
    return {static_cast<const float*>(operands.in.data), operands.in.image_stride,
            step_.in.pixel_stride, step_.in.h, step_.in.w, step_.in.c};
  }
  Finish finish(const Operands& operands) const {
    return {make_epilogue(step_, operands.add), make_operand(step_.out, operands.out)};
  }

  Convolution convolution_;
};

}  // namespace facegen::cuda::algorithms
