#include "cpu/small_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/memory.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

float* pixel(Images images, const View& view, int64_t image, int64_t y, int64_t x) {
  return images.data + image * images.image_stride + (y * view.w + x) * view.pixel_stride;
}

// Applies the step's epilogue to `sum` (c values) and writes it to the output pixel (y, x).
void finish_pixel(const StepCall& call, const float* sum, int64_t image, int64_t y, int64_t x) {
  const Epilogue& e = call.step.epilogue;
  const float* add =
      call.add.data == nullptr ? nullptr : pixel(call.add, e.add, image, y, x);
  call.kernels.epilogue({sum, nullptr, add, e.scale, e.shift, e.activation, e.slope,
                         pixel(call.out, call.step.out, image, y, x), call.step.out.c});
}

// body(image, y) for every row of pixels of the output.
template <typename Body>
void for_each_row(const StepCall& call, Body body) {
  const int64_t h = call.step.out.h;
  parallel_for(call.images * h, call.threads,
               [&](int64_t task, int) { body(task / h, task % h); });
}

}  // namespace

void max_pool(const StepCall& call) {
  const Step& step = call.step;
  const Pool& pool = step.pool;
  for_each_row(call, [&](int64_t image, int64_t oy) {
    static thread_local Scratch scratch;
    float* best = scratch.get<float>(step.out.c);
    const int64_t y0 = oy * pool.stride_h - pool.pad_top;
    for (int64_t ox = 0; ox < step.out.w; ++ox) {
      const int64_t x0 = ox * pool.stride_w - pool.pad_left;
      std::fill(best, best + step.out.c, -INFINITY);
      for (int64_t y = std::max<int64_t>(y0, 0); y < std::min<int64_t>(y0 + pool.kernel_h, step.in.h);
           ++y) {
        for (int64_t x = std::max<int64_t>(x0, 0);
             x < std::min<int64_t>(x0 + pool.kernel_w, step.in.w); ++x) {
          call.kernels.maximum(pixel(call.in, step.in, image, y, x), best, step.out.c);
        }
      }
      finish_pixel(call, best, image, oy, ox);
    }
  });
}

// Mean and biased variance in double, pixels in order: the same bits at any batch or thread count.
void instance_norm(const StepCall& call) {
  const Step& step = call.step;
  constexpr int64_t kChannels = 16;  // of one task: a cache line of every pixel
  const int64_t chunks = (step.out.c + kChannels - 1) / kChannels;
  const int64_t pixels = int64_t{1} * step.in.h * step.in.w;
  parallel_for(call.images * chunks, call.threads, [&](int64_t task, int) {
    const int64_t image = task / chunks;
    const int64_t first = task % chunks * kChannels;
    const int64_t count = std::min<int64_t>(kChannels, step.out.c - first);
    const float* in = pixel(call.in, step.in, image, 0, 0) + first;
    double mean[kChannels] = {}, variance[kChannels] = {};
    for (int64_t p = 0; p < pixels; ++p) {
      const float* x = in + p * step.in.pixel_stride;
      for (int64_t i = 0; i < count; ++i) mean[i] += x[i];
    }
    for (int64_t i = 0; i < count; ++i) mean[i] /= static_cast<double>(pixels);
    for (int64_t p = 0; p < pixels; ++p) {
      const float* x = in + p * step.in.pixel_stride;
      for (int64_t i = 0; i < count; ++i) variance[i] += (x[i] - mean[i]) * (x[i] - mean[i]);
    }
    const Epilogue& e = step.epilogue;
    float scale[kChannels], centre[kChannels], row[kChannels];
    for (int64_t i = 0; i < count; ++i) {
      const double deviation = std::sqrt(variance[i] / static_cast<double>(pixels) + step.eps);
      scale[i] = static_cast<float>(step.weight[first + i] / deviation);
      centre[i] = static_cast<float>(mean[i]);
    }
    const auto part = [&](const float* p) { return p == nullptr ? nullptr : p + first; };
    for (int64_t p = 0; p < pixels; ++p) {
      const float* x = in + p * step.in.pixel_stride;
      for (int64_t i = 0; i < count; ++i) row[i] = (x[i] - centre[i]) * scale[i];
      const float* add =
          call.add.data == nullptr ? nullptr : part(pixel(call.add, e.add, image, 0, p));
      call.kernels.epilogue({row, part(step.bias), add, part(e.scale), part(e.shift), e.activation,
                             e.slope, pixel(call.out, step.out, image, 0, p) + first,
                             static_cast<int>(count)});
    }
  });
}

void softmax(const StepCall& call) {
  for_each_row(call, [&](int64_t image, int64_t y) {
    for (int64_t x = 0; x < call.step.out.w; ++x) {
      call.kernels.softmax(pixel(call.in, call.step.in, image, y, x),
                           pixel(call.out, call.step.out, image, y, x), call.step.out.c);
    }
  });
}

namespace {

// The two input positions that output o lies between, and the weight of the second.
struct Between {
  int64_t low, high;
  float weight;
};

Between between(int64_t o, int64_t in, int64_t out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double at = std::max(0.0, (static_cast<double>(o) + 0.5) * scale - 0.5);
  const auto low = std::min(static_cast<int64_t>(at), in - 1);
  return {low, std::min(low + 1, in - 1), static_cast<float>(at - static_cast<double>(low))};
}

}  // namespace

void upsample_bilinear(const StepCall& call) {
  const Step& step = call.step;
  for_each_row(call, [&](int64_t image, int64_t oy) {
    static thread_local Scratch scratch;
    const int c = step.out.c;
    float* column = scratch.get<float>(int64_t{2} * c);  // the two blended columns, then the pixel
    const Between y = between(oy, step.in.h, step.out.h);
    for (int64_t ox = 0; ox < step.out.w; ++ox) {
      const Between x = between(ox, step.in.w, step.out.w);
      const auto blend_rows = [&](int64_t ix, float* to) {
        call.kernels.blend(pixel(call.in, step.in, image, y.low, ix), 1.0f - y.weight,
                           pixel(call.in, step.in, image, y.high, ix), y.weight, to, c);
      };
      blend_rows(x.low, column);
      blend_rows(x.high, column + c);
      call.kernels.blend(column, 1.0f - x.weight, column + c, x.weight, column, c);
      finish_pixel(call, column, image, oy, ox);
    }
  });
}

void pointwise(const StepCall& call) {
  for_each_row(call, [&](int64_t image, int64_t y) {
    for (int64_t x = 0; x < call.step.out.w; ++x) {
      finish_pixel(call, pixel(call.in, call.step.in, image, y, x), image, y, x);
    }
  });
}

}  // namespace facegen::cpu
