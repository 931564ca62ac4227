// A step on a batch, and what all steps that are no GEMM share: rows of pixels, epilogues.
#pragma once

#include <cstdint>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "program.h"
#include "threads.h"

namespace facegen::cpu {

struct StepCall {
  const Step& step;
  const Kernels& kernels;
  int64_t images;
  Images in, out, other;
  int threads;
};

inline float* pixel(Images images, const View& view, int64_t image, int64_t y, int64_t x) {
  return images.data + image * images.image_stride + (y * view.w + x) * view.pixel_stride;
}

// Applies the step's epilogue to `sum` (c values) and writes it to the output pixel (y, x).
inline void finish_pixel(const StepCall& call, const float* sum, int64_t image, int64_t y, int64_t x,
                         const float* bias = nullptr) {
  const View &out = call.step.out, &other = call.step.epilogue.other;
  EpilogueRow row = {sum, bias, nullptr, &call.step.epilogue, pixel(call.out, out, image, y, x),
                     out.c};
  if (call.other.data != nullptr) {
    const bool one_pixel = int64_t{other.h} * other.w == 1;
    row.other = pixel(call.other, other, image, one_pixel ? 0 : y, one_pixel ? 0 : x);
    row.one_other = other.c < out.c;
  }
  call.kernels.epilogue(row);
}

// body(image, y) for every row of pixels of the output.
template <typename Body>
void for_each_row(const StepCall& call, Body body) {
  const int64_t h = call.step.out.h;
  parallel_for(call.images * h, call.threads,
               [&](int64_t task, int) { body(task / h, task % h); });
}

}  // namespace facegen::cpu
