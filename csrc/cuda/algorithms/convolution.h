// What the algorithms share that a step names: the layer, where it reads, and how they are run.
//
// Each is a header: its essay, its arithmetic as functions of a thread, and a class of a layer:
//
//   weights(step)      as its threads read them, made on the host
//   scratch_floats()   of an image, for the first kScratchImages of a batch
//   run(executor, weights, in, images, scratch, store)   its launches in their order
//
// It knows no CUDA. An executor runs it:
//
//   executor.each(count, body)           body(i) for every i < count, a thread each
//   executor.blocks(count, batch, body)  body(block, i, b) for every i < count and b < batch, by blocks
//                                        of threads that share memory: product.h says how
//
// gpu_executor.cuh has the executor that launches kernels, with which gemms.cu makes the classes the
// engine's; tests/native/host_executor.h has one that walks the threads in loops, so that what a GPU will
// compute is tested where there is none.
//
// They are for precision "strict" alone, in which all maps are float32. What is done with a sum (bias,
// activation, its place) is the caller's: store(image, pixel, n, sum), once for every output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda/algorithms/device.h"
#include "program.h"

namespace facegen::cuda::algorithms {

// Images of a view; pixel (y, x) of one starts at image * image_stride + (y * w + x) * pixel_stride.
struct Map {
  const float* data;
  int64_t image_stride, pixel_stride;
  int32_t h, w, c;
};

// A step without its operands. It outlives the step.
struct Convolution {
  explicit Convolution(const Step& step)
      : phases(step.phases, step.phases + step.phase_count),
        kernel_h(step.kernel_h),
        kernel_w(step.kernel_w),
        in_c(step.in.c),
        out_h(step.out.h),
        out_w(step.out.w),
        out_c(step.out.c) {}
  int64_t depth() const { return int64_t{kernel_h} * kernel_w * in_c; }  // products of an output
  int64_t pixels() const { return int64_t{out_h} * out_w; }

  std::vector<Phase> phases;
  int32_t kernel_h, kernel_w, in_c, out_h, out_w, out_c;
};

// (kernel_h, kernel_w, c, n) of a step's (n, kernel_h, kernel_w, c): threads side by side, whose outputs
// are neighbouring channels, read neighbouring numbers.
inline std::vector<float> weight_matrix(const Step& step) {
  const int64_t depth = int64_t{step.kernel_h} * step.kernel_w * step.in.c, n = step.out.c;
  std::vector<float> matrix(static_cast<std::size_t>(depth * n));
  for (int64_t column = 0; column < n; ++column) {
    for (int64_t k = 0; k < depth; ++k) {
      matrix[static_cast<std::size_t>(k * n + column)] = step.weight[column * depth + k];
    }
  }
  return matrix;
}

// The position of the input that tap t of output o reads, inside or not.
FACEGEN_DEVICE inline int64_t position_of(const Axis& axis, int64_t o, int64_t t) {
  return o * axis.step + t * axis.dir + axis.base;
}

FACEGEN_DEVICE inline bool is_inside(int64_t position, int32_t size) {
  return position >= 0 && position < size;
}

// An output of a phase: its image and its place among the phase's outputs.
struct Place {
  int64_t image, y, x;
};
FACEGEN_DEVICE inline Place place_of(const Phase& phase, int64_t i) {
  const int64_t row = quotient(i, phase.x.out), image = quotient(row, phase.y.out);
  return {image, row - image * phase.y.out, i - row * phase.x.out};
}

// Its pixel in the map.
FACEGEN_DEVICE inline int64_t pixel_of(const Phase& phase, int64_t y, int64_t x, int32_t out_w) {
  return (phase.y.out_origin + y * phase.y.out_step) * out_w + phase.x.out_origin +
         x * phase.x.out_step;
}

}  // namespace facegen::cuda::algorithms
