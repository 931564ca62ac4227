#include "cpu/small_ops.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/memory.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
void max_pool(const StepCall& call) {
  const Step& step = call.step;
  const Window& pool = step.window;
  for_each_row(call, [&](int64_t image, int64_t oy) {
    static thread_local Scratch row_scratch;
    auto* rows = row_scratch.get<const float*>(std::min(pool.kernel_h, step.in.h));
    const int64_t y = oy * pool.stride_h - pool.pad_top;
    const int64_t last = std::min<int64_t>(y + pool.kernel_h, step.in.h);
    int count = 0;
    for (int64_t iy = std::max<int64_t>(y, 0); iy < last; ++iy) {
      rows[count++] = pixel(call.in, step.in, image, iy, 0);
    }
    float* out = pixel(call.out, step.out, image, oy, 0);
    call.kernels.max_pool({rows, count, step.in.pixel_stride, step.in.w, pool.kernel_w,
                           pool.stride_w, pool.pad_left, out, step.out.pixel_stride, step.out.w,
                           step.out.c});
    if (is_identity(step.epilogue)) return;
    for (int64_t x = 0; x < step.out.w; ++x, out += step.out.pixel_stride) {
      finish_pixel(call, out, image, oy, x);
    }
  });
}

// Mean and biased variance in double, pixels in order: the same bits at any batch or thread count.
void instance_norm(const StepCall& call) {
  const Step& step = call.step;
  constexpr int64_t kChannels = 32;  // of one task: two cache lines of every pixel
  const int64_t channels = step.out.c, chunks = divide_up(channels, kChannels);
  const auto pixels = static_cast<double>(int64_t{1} * step.in.h * step.in.w);
  static thread_local Scratch statistics_scratch;
  float* const centres = statistics_scratch.get<float>(2 * call.images * channels);
  float* const scales = centres + call.images * channels;
  parallel_for(call.images * chunks, call.threads, [&](int64_t task, int) {
    const int64_t image = task / chunks, first = task % chunks * kChannels;
    const auto count = static_cast<int>(std::min(kChannels, channels - first));
    const float* in = pixel(call.in, step.in, image, 0, 0) + first;
    double sum[kChannels], squares[kChannels];
    call.kernels.moments(in, step.in.pixel_stride, int64_t(pixels), count, sum, squares);
    for (int i = 0; i < count; ++i) {
      const double mean = sum[i] / pixels;  // of x - x0
      const double variance = squares[i] / pixels - mean * mean;
      const double deviation = std::sqrt((variance < 0.0 ? 0.0 : variance) + step.eps);
      const int64_t at = image * channels + first + i;
      centres[at] = static_cast<float>(in[i] + mean);
      scales[at] = static_cast<float>(step.weight[first + i] / deviation);
    }
  });
  for_each_row(call, [&](int64_t image, int64_t y) {
    static thread_local Scratch row_scratch;
    float* row = row_scratch.get<float>(channels);
    for (int64_t x = 0; x < step.out.w; ++x) {
      call.kernels.centre_and_scale(pixel(call.in, step.in, image, y, x), centres + image * channels,
                                    scales + image * channels, row, step.out.c);
      finish_pixel(call, row, image, y, x, step.bias);
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

// Whether a row of pixels is one run of floats to a step, whose channels are all treated alike.
bool takes_rows(const Step& step) {
  const auto dense = [](const View& view) { return view.pixel_stride == view.c; };
  const Epilogue& e = step.epilogue;
  return int64_t{step.out.w} * step.out.c <= std::numeric_limits<int32_t>::max() && dense(step.in) &&
         dense(step.out) && e.scale == nullptr && e.shift == nullptr &&
         e.slopes == nullptr &&
         (e.other.buffer < 0 || (dense(e.other) && !is_spread(e.other, step.out)));
}

}  // namespace

void pointwise(const StepCall& call) {
  const Step& step = call.step;
  if (takes_rows(step)) {
    for_each_row(call, [&](int64_t image, int64_t y) {
      EpilogueRow row = {pixel(call.in, step.in, image, y, 0), nullptr, nullptr, &step.epilogue,
                         pixel(call.out, step.out, image, y, 0), step.out.w * step.out.c};
      if (call.other.data != nullptr) row.other = pixel(call.other, step.epilogue.other, image, y, 0);
      call.kernels.epilogue(row);
    });
    return;
  }
  for_each_row(call, [&](int64_t image, int64_t y) {
    for (int64_t x = 0; x < call.step.out.w; ++x) {
      finish_pixel(call, pixel(call.in, call.step.in, image, y, x), image, y, x);
    }
  });
}

}  // namespace facegen::cpu
