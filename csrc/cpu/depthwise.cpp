#include "cpu/depthwise.h"

#include <algorithm>
#include <limits>

#include "cpu/memory.h"
#include "divide_up.h"

namespace facegen::cpu {
namespace {

// What the kernel does to sums: it cuts them off at both ends.
struct Limits {
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

// Whether that is all there is to an epilogue.
bool is_limits(const Epilogue& e) {
  const bool cuts = e.activation == Activation::kNone || e.activation == Activation::kRelu ||
                    e.activation == Activation::kClip;
  return cuts && e.scale == nullptr && e.shift == nullptr && e.other.buffer < 0;
}

Limits limits_of(const Epilogue& e) {
  Limits limits;
  if (e.activation == Activation::kRelu) limits.low = 0.0f;
  if (e.activation == Activation::kClip) limits = {e.alpha, e.beta};
  return limits;
}

}  // namespace

void depthwise(const StepCall& call) {
  const Step& step = call.step;
  const Window& window = step.window;
  const bool finished = is_limits(step.epilogue);
  const Limits limits = finished ? limits_of(step.epilogue) : Limits{};
  for_each_row(call, [&](int64_t image, int64_t oy) {
    static thread_local Scratch row_scratch;
    auto* rows = row_scratch.get<const float*>(std::min(window.kernel_h, step.in.h));
    const int64_t y = oy * window.stride_h - window.pad_top, dilation = window.dilation_h;
    const int64_t first =
        y < 0 ? std::min<int64_t>(divide_up(-y, dilation), window.kernel_h) : 0;
    int count = 0;
    for (int64_t iy = y + first * dilation;
         first + count < window.kernel_h && iy < step.in.h; iy += dilation) {
      rows[count++] = pixel(call.in, step.in, image, iy, 0);
    }
    float* out = pixel(call.out, step.out, image, oy, 0);
    call.kernels.depthwise({rows, count,
                            step.weight + first * window.kernel_w * int64_t{step.out.c},
                            step.in.pixel_stride, step.in.w, window.kernel_w, window.stride_w,
                            window.dilation_w, window.pad_left, step.bias, limits.low, limits.high,
                            out, step.out.pixel_stride, step.out.w, step.out.c});
    if (finished) return;
    for (int64_t x = 0; x < step.out.w; ++x, out += step.out.pixel_stride) {
      finish_pixel(call, out, image, oy, x);
    }
  });
}

}  // namespace facegen::cpu
