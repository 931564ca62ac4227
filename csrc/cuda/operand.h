// An operand of a step as an argument of a kernel.
#pragma once

#include <cstdint>

#include "cuda/tensor.h"
#include "program.h"

namespace facegen::cuda {

// A view's images as a kernel argument; pixel (y, x) of an image starts at element
// image * image_stride + (y * w + x) * pixel_stride.
struct Operand {
  char* data;
  int64_t image_stride, pixel_stride, plane;
  int32_t h, w, c;
  Format format;
};

inline Operand make_operand(const View& view, const Images& images) {
  return {static_cast<char*>(images.data), images.image_stride, view.pixel_stride, images.plane,
          view.h, view.w, view.c, images.format};
}

}  // namespace facegen::cuda
