// Where the sums of an output pixel go: through a step's epilogue to their place.
#pragma once

#include <cstdint>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "program.h"

namespace facegen::cpu {

// `columns` of a pixel from channel `first` on; where they come from and go to is not in it yet.
inline EpilogueRow columns_of_pixel(const Epilogue& epilogue, const float* bias, int first,
                                    int columns) {
  EpilogueRow row = {};
  row.epilogue = &epilogue;
  row.first = first;
  row.bias = row.from_first(bias);
  row.columns = columns;
  return row;
}

struct PixelWriter {
  const Kernels& kernels;
  View out;
  Epilogue epilogue;  // its constants, and the bias, are the step's
  const float* bias;

  PixelWriter(const Step& step, const Kernels& some)
      : kernels(some), out(step.out), epilogue(step.epilogue), bias(step.bias) {}

  // `sums` (columns): of pixel (y, x) of an image, from channel `first` on.
  void write(const float* sums, Images to, Images add, int64_t image, int64_t y, int64_t x,
             int first, int columns) const {
    const int64_t at = y * out.w + x;
    EpilogueRow row = columns_of_pixel(epilogue, bias, first, columns);
    row.sum = sums;
    row.out = to.data + image * to.image_stride + at * out.pixel_stride + first;
    if (add.data != nullptr) {
      row.other = add.data + image * add.image_stride + at * epilogue.other.pixel_stride + first;
    }
    kernels.epilogue(row);
  }
};

}  // namespace facegen::cpu
