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

void softmax(const StepCall& call) {
  for_each_row(call, [&](int64_t image, int64_t y) {
    for (int64_t x = 0; x < call.step.out.w; ++x) {
      call.kernels.softmax(pixel(call.in, call.step.in, image, y, x),
                           pixel(call.out, call.step.out, image, y, x), call.step.out.c, call.step.log);
    }
  });
}

namespace {

// One row of the output: pixels of blocks, of one row of them each, from the channels of a pixel.
// `channel_step` and `place_step` are from one channel, and from one place in a block, to the next.
void channels_to_pixels(const StepCall& call, int64_t image, int64_t y, int64_t channel_step,
                        int64_t place_step) {
  const View &in = call.step.in, &out = call.step.out;
  const int64_t block = call.step.block, c = out.c;
  const float* from = pixel(call.in, in, image, y / block, 0) + y % block * block * place_step;
  float* to = pixel(call.out, out, image, y, 0);
  if (channel_step == 1 && out.pixel_stride == c) {  // the pixels of a block's row follow one another
    for (int64_t x = 0; x < in.w; ++x, from += in.pixel_stride, to += block * c) {
      for (int64_t i = 0; i < block * c; ++i) to[i] = from[i];
    }
    return;
  }
  for (int64_t x = 0; x < in.w; ++x, from += in.pixel_stride) {
    for (int64_t j = 0; j < block; ++j, to += out.pixel_stride) {
      for (int64_t i = 0; i < c; ++i) to[i] = from[j * place_step + i * channel_step];
    }
  }
}

// One row of the output: the channels of its pixels, from a block's pixels.
void pixels_to_channels(const StepCall& call, int64_t image, int64_t y, int64_t channel_step,
                        int64_t place_step) {
  const View &in = call.step.in, &out = call.step.out;
  const int64_t block = call.step.block;
  float* to = pixel(call.out, out, image, y, 0);
  for (int64_t x = 0; x < out.w; ++x, to += out.pixel_stride) {
    for (int64_t p = 0; p < block * block; ++p) {
      const float* from = pixel(call.in, in, image, y * block + p / block, x * block + p % block);
      for (int64_t i = 0; i < in.c; ++i) to[p * place_step + i * channel_step] = from[i];
    }
  }
}

}  // namespace

// Between a block's pixels and the channels of one pixel, whichever is written.
void rearrange(const StepCall& call) {
  const View &in = call.step.in, &out = call.step.out;
  const int64_t area = int64_t{call.step.block} * call.step.block;
  const bool grows = out.h > in.h || out.w > in.w;
  const int64_t c = grows ? out.c : in.c;  // of a pixel of a block
  const int64_t channel_step = call.step.depth_first ? 1 : area;
  const int64_t place_step = call.step.depth_first ? c : 1;
  for_each_row(call, [&](int64_t image, int64_t y) {
    (grows ? channels_to_pixels : pixels_to_channels)(call, image, y, channel_step, place_step);
  });
}

void shuffle(const StepCall& call) {
  const Step& step = call.step;
  const int groups = step.groups, members = step.out.c / groups;
  for_each_row(call, [&](int64_t image, int64_t y) {
    for (int64_t x = 0; x < step.out.w; ++x) {
      const float* from = pixel(call.in, step.in, image, y, x);
      float* to = pixel(call.out, step.out, image, y, x);
      for (int g = 0; g < groups; ++g) {
        for (int i = 0; i < members; ++i) to[i * groups + g] = *from++;
      }
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
