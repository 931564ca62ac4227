#include "cpu/training/depthwise.h"

#include <algorithm>

#include "cpu/depthwise.h"
#include "cpu/memory.h"
#include "cpu/ranges.h"
#include "cpu/training/tree.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

constexpr int64_t kChannels = 64;  // of a task: four cache lines of every pixel

// Channels inside, as kernels take them: (taps, channels), in memory of the calling thread.
float* channels_inside(const float* weight, int64_t channels, int64_t taps) {
  static thread_local Scratch scratch;
  float* const turned = scratch.get<float>(channels * taps);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t t = 0; t < taps; ++t) turned[t * channels + c] = weight[c * taps + t];
  }
  return turned;
}

View dense(const TrainingValue& value, int32_t buffer) {
  return {buffer, value.h, value.w, value.c, value.c, 0};
}

// The output of an axis that reads input `i` by tap `t`; -1 where there is none.
int64_t output_of(int64_t i, int64_t t, int stride, int dilation, int pad, int64_t outputs) {
  const int64_t at = i + pad - t * dilation;
  return at >= 0 && at % stride == 0 && at / stride < outputs ? at / stride : -1;
}

}  // namespace

// Inference's own kernel.
void depthwise(const TrainingStepCall& call, const float* weight, const float* bias) {
  Step step{};
  step.op = Op::kDepthwise;
  step.in = dense(*call.x.value, 0);
  step.out = dense(*call.y.value, 1);
  step.window = call.step.window;
  step.kernel_h = step.window.kernel_h;
  step.kernel_w = step.window.kernel_w;
  step.weight = channels_inside(weight, step.in.c, int64_t{1} * step.kernel_h * step.kernel_w);
  step.bias = bias;
  depthwise({step, call.kernels, call.images, {call.x.data, call.x.floats()},
             {call.y.data, call.y.floats()}, {}, call.threads});
}

// Every pixel of dx is the sum over the outputs that read it.
void depthwise_gradient(const TrainingStepCall& call, const float* weight) {
  const TrainingValue &x = *call.dx.value, &y = *call.dy.value;
  const Window& w = call.step.window;
  const float* const turned = channels_inside(weight, x.c, int64_t{1} * w.kernel_h * w.kernel_w);
  parallel_for(call.images * x.h, call.threads, [&](int64_t task, int) {
    static thread_local Scratch dy_scratch, weight_scratch;
    const int64_t image = task / x.h, iy = task % x.h;
    const int64_t most = int64_t{1} * w.kernel_h * w.kernel_w;
    auto* const from = dy_scratch.get<const float*>(most);
    auto* const by = weight_scratch.get<const float*>(most);
    float* dx = call.dx.image(image) + iy * x.w * x.c;
    for (int64_t ix = 0; ix < x.w; ++ix, dx += x.c) {
      int terms = 0;
      for (int64_t ty = 0; ty < w.kernel_h; ++ty) {
        const int64_t oy = output_of(iy, ty, w.stride_h, w.dilation_h, w.pad_top, y.h);
        if (oy < 0) continue;
        for (int64_t tx = 0; tx < w.kernel_w; ++tx) {
          const int64_t ox = output_of(ix, tx, w.stride_w, w.dilation_w, w.pad_left, y.w);
          if (ox < 0) continue;
          from[terms] = call.dy.image(image) + (oy * y.w + ox) * y.c;
          by[terms++] = turned + (ty * w.kernel_w + tx) * x.c;
        }
      }
      call.training.sum_of_products(from, by, terms, dx, x.c, call.step.accumulate);
    }
  });
}

// Of each chunk, sums by taps and channels; chunks are added as a tree.
void depthwise_weight_gradient(const TrainingStepCall& call, double* gradient) {
  static thread_local Scratch scratch;
  const TrainingValue &x = *call.x.value, &y = *call.dy.value;
  const Window& w = call.step.window;
  const Chunks chunks = {call.images};
  const int64_t taps = int64_t{1} * w.kernel_h * w.kernel_w, channels = x.c;
  const int64_t groups = divide_up(channels, kChannels);
  double* const sums = scratch.get<double>(chunks.count() * taps * channels);
  parallel_for(chunks.count() * groups, call.threads, [&](int64_t task, int) {
    const int64_t chunk = task / groups, first = task % groups * kChannels;
    const auto count = static_cast<int>(std::min(kChannels, channels - first));
    double* const sum = sums + chunk * taps * channels + first;
    for (int64_t t = 0; t < taps; ++t) std::fill_n(sum + t * channels, count, 0.0);
    for (int64_t image = chunks.first(chunk); image < chunks.last(chunk); ++image) {
      for (int64_t oy = 0; oy < y.h; ++oy) {
        const float* const dy = call.dy.image(image) + oy * y.w * channels + first;
        for (int ty = 0; ty < w.kernel_h; ++ty) {
          const int64_t iy = oy * w.stride_h - w.pad_top + int64_t{ty} * w.dilation_h;
          if (iy < 0 || iy >= x.h) continue;
          const float* const line = call.x.image(image) + iy * x.w * channels + first;
          for (int tx = 0; tx < w.kernel_w; ++tx) {
            const int dx = tx * w.dilation_w - w.pad_left;
            const Range xs = valid_outputs(dx, w.stride_w, x.w, y.w);
            if (xs.first >= xs.last) continue;
            call.training.channel_products(
                dy + xs.first * channels, channels,
                line + (int64_t{xs.first} * w.stride_w + dx) * channels, w.stride_w * channels,
                xs.last - xs.first, count, false, sum + (ty * w.kernel_w + tx) * channels);
          }
        }
      }
    }
  });
  add_in_pairs(sums, chunks.count(), taps * channels);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t t = 0; t < taps; ++t) {
      gradient[c * taps + t] = sums[t * channels + c];
    }
  }
}

}  // namespace facegen::cpu
