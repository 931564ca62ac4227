// An array of the caller's: the images of one input or output, in device memory or on the host.
#pragma once

#include <cstdint>

namespace facegen::cuda {

enum class Element : int32_t {
  kFloat32,
  kFloat16,
  kBfloat16,
  kUint8,   // the numbers as they are: out of 0 to 255 they are clamped, fractions cut off
  kPixels,  // uint8 that stand for -1 to 1 (see facegen.numbers.pixels)
};

constexpr int64_t bytes_of(Element element) {
  switch (element) {
    case Element::kFloat32: return 4;
    case Element::kFloat16:
    case Element::kBfloat16: return 2;
    case Element::kUint8:
    case Element::kPixels: break;
  }
  return 1;
}

struct CallerArray {
  void* data;  // inputs are only ever read
  Element element;
  int32_t h, w, c;
  // In elements, of (n, y, x, c), and of any sign; arrays on the host are contiguous.
  int64_t strides[4];

  int64_t image_values() const { return int64_t{h} * w * c; }
  int64_t image_bytes() const { return image_values() * bytes_of(element); }
  char* image(int64_t n) const {
    return static_cast<char*>(data) + n * strides[0] * bytes_of(element);
  }
};

}  // namespace facegen::cuda
