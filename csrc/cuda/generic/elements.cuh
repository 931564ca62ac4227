// What the kernels share that have a thread for an element of the output, or for a few.
#pragma once

#include "cuda/fit/divide.h"
#include "cuda/generic/element.cuh"
#include "cuda/generic/small_ops.h"
#include "divide_up.h"

namespace facegen::cuda {

constexpr int kThreads = 256;

struct Arguments {
  Operand in, out;
  DeviceEpilogue epilogue;
  int64_t images;
};

inline Arguments make_arguments(const StepCall& call) {
  Arguments args = {make_operand(call.step.in, call.operands.in), make_operand(call.step.out, call.operands.out),
                    make_epilogue(call.step, call.operands.add), call.images};
  return args;
}

inline unsigned count_blocks(int64_t items, int64_t items_per_block) {
  return static_cast<unsigned>(divide_up(items, items_per_block));
}

__device__ inline int64_t global_thread() {
  return int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}

// The output element of a thread: (image, y, x, c), or image < 0 past the end.
struct Element {
  int64_t image, pixel;
  int32_t y, x, c;
};

// `run` neighbouring channels count as one.
__device__ inline Element find_element(const Operand& out, int64_t images, int run = 1) {
  const int64_t i = global_thread();
  const int channels = out.c / run;
  const int64_t per_image = int64_t{out.h} * out.w * channels;
  if (i >= images * per_image) return {-1, 0, 0, 0, 0};
  Element e;
  e.image = quotient(i, per_image);
  const int64_t rest = i - e.image * per_image;  // one image alone may have more than 2^32
  e.pixel = quotient(rest, channels);
  e.c = static_cast<int32_t>(rest - e.pixel * channels) * run;
  e.y = static_cast<int32_t>(quotient(e.pixel, out.w));
  e.x = static_cast<int32_t>(e.pixel - int64_t{e.y} * out.w);
  return e;
}

__device__ inline float load_at(const Operand& in, int64_t image, int64_t y, int64_t x, int c) {
  return load(in, image * in.image_stride + (y * in.w + x) * in.pixel_stride + c);
}

// Finishes eight neighbouring channels of a pixel by any epilogue and writes them. The other operand
// has eight as well, or one for all.
__device__ inline void finish_eight(const DeviceEpilogue& e, const Operand& out, int64_t image,
                                    int64_t pixel, int c, float (&x)[8]) {
  float other[8] = {}, v[8];
  if (e.other.data != nullptr) {
    const int64_t first = image * e.other.image_stride + pixel * e.other.pixel_stride;
    if (e.one_channel) {
      const float one = load(e.other, first);
#pragma unroll
      for (float& each : other) each = one;
    } else {
      load_run(e.other, first + c, other);
    }
  }
  const auto take_other = [&](bool after) {
    if (e.other.data == nullptr || e.after_activation != after) return;
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = combine(e.combine, x[i], other[i]);
  };
  load8(e.bias, c, v);
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] += v[i];
  take_other(false);
  if (is_quick(e.activation) && e.activation != Activation::kTanh) {
    activate_run(x, e.activation, e.alpha, e.beta);
  } else {  // that tanh is for products, which err more
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = activate_any(e, c + i, x[i]);
  }
  take_other(true);
  if (e.scale != nullptr) {
    load8(e.scale, c, v);
    load8(e.shift, c, other);
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = fmaf(x[i], v[i], other[i]);
  }
  store_run(out, image * out.image_stride + pixel * out.pixel_stride + c, x);
}

// Whether a view's channels can be read or written eight at a time.
inline bool in_runs(const View& view, const Images& images) {
  return view.c % 8 == 0 && view.pixel_stride % 8 == 0 && view.offset % 8 == 0 &&
         images.image_stride % 8 == 0;
}

// Whether all operands of a step can; then finish_eight can be used.
inline bool takes_runs(const StepCall& call) {
  const View &in = call.step.in, &other = call.step.epilogue.other;
  return in_runs(call.step.out, call.operands.out) &&
         (in.buffer < 0 || in_runs(in, call.operands.in)) &&
         (other.buffer < 0 || other.c == 1 || in_runs(other, call.operands.add));
}

inline int64_t output_elements(const StepCall& call) {
  return call.images * call.step.out.h * call.step.out.w * call.step.out.c;
}

}  // namespace facegen::cuda
