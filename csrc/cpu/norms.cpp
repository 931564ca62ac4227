#include "cpu/norms.h"

#include <algorithm>
#include <cmath>

#include "cpu/memory.h"
#include "divide_up.h"

namespace facegen::cpu {
namespace {

struct Moments {
  double mean, variance;
};

// Of some channels, from those of each: the variance within them and between their means.
Moments of_group(const Moments* channels, int64_t count) {
  Moments group = {};
  for (int64_t c = 0; c < count; ++c) group.mean += channels[c].mean;
  group.mean /= static_cast<double>(count);
  for (int64_t c = 0; c < count; ++c) {
    const double apart = channels[c].mean - group.mean;
    group.variance += channels[c].variance + apart * apart;
  }
  group.variance /= static_cast<double>(count);
  return group;
}

double deviation_of(double variance, float eps) {
  return std::sqrt((variance < 0.0 ? 0.0 : variance) + static_cast<double>(eps));
}

}  // namespace

// Mean and biased variance in double, pixels in order: the same bits at any batch or thread count.
void instance_norm(const StepCall& call) {
  const Step& step = call.step;
  constexpr int64_t kChannels = 32;  // of one task: two cache lines of every pixel
  const int64_t channels = step.out.c, chunks = divide_up(channels, kChannels);
  const auto pixels = static_cast<double>(int64_t{1} * step.in.h * step.in.w);
  static thread_local Scratch moments_scratch, factors_scratch;
  auto* const moments = moments_scratch.get<Moments>(call.images * channels);
  parallel_for(call.images * chunks, call.threads, [&](int64_t task, int) {
    const int64_t image = task / chunks, first = task % chunks * kChannels;
    const auto count = static_cast<int>(std::min(kChannels, channels - first));
    const float* in = pixel(call.in, step.in, image, 0, 0) + first;
    double sum[kChannels], squares[kChannels];
    call.kernels.moments(in, step.in.pixel_stride, int64_t(pixels), count, sum, squares);
    for (int i = 0; i < count; ++i) {
      const double mean = sum[i] / pixels;  // of x - x0
      moments[image * channels + first + i] = {in[i] + mean, squares[i] / pixels - mean * mean};
    }
  });
  float* const centres = factors_scratch.get<float>(2 * call.images * channels);
  float* const scales = centres + call.images * channels;
  const int64_t members = channels / step.groups;
  for (int64_t first = 0; first < call.images * channels; first += members) {
    const Moments group = of_group(moments + first, members);
    const double deviation = deviation_of(group.variance, step.eps);
    for (int64_t at = first; at < first + members; ++at) {
      centres[at] = static_cast<float>(group.mean);
      scales[at] = static_cast<float>(step.weight[at % channels] / deviation);
    }
  }
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

// The same of each pixel's channels.
void layer_norm(const StepCall& call) {
  const Step& step = call.step;
  const auto channels = static_cast<double>(step.out.c);
  for_each_row(call, [&](int64_t image, int64_t y) {
    static thread_local Scratch row_scratch;
    float* row = row_scratch.get<float>(step.out.c);
    for (int64_t x = 0; x < step.out.w; ++x) {
      const float* in = pixel(call.in, step.in, image, y, x);
      double sum = 0.0, squares = 0.0;
      call.kernels.row_moments(in, step.out.c, &sum, &squares);
      const double mean = sum / channels;  // of x - x0
      const double deviation = deviation_of(squares / channels - mean * mean, step.eps);
      call.kernels.centre_and_multiply(in, static_cast<float>(in[0] + mean),
                                       static_cast<float>(1.0 / deviation), step.weight, row,
                                       step.out.c);
      finish_pixel(call, row, image, y, x, step.bias);
    }
  });
}

// Sums of a few squares, in float32.
void response_norm(const StepCall& call) {
  const Step& step = call.step;
  const int c = step.out.c;
  const int before = std::min((step.lrn.size - 1) / 2, c), behind = std::min(step.lrn.size / 2, c);
  for_each_row(call, [&](int64_t image, int64_t y) {
    static thread_local Scratch row_scratch;
    float* row = row_scratch.get<float>(int64_t{2} * c + before + behind);
    float* squares = row + c;  // with zeros at both ends
    std::fill_n(squares, before, 0.0f);
    std::fill_n(squares + before + c, behind, 0.0f);
    for (int64_t x = 0; x < step.out.w; ++x) {
      call.kernels.response_norm({pixel(call.in, step.in, image, y, x), squares, before,
                                  before + behind + 1, step.lrn.alpha / static_cast<float>(step.lrn.size),
                                  step.lrn.beta, step.lrn.k, row, c});
      finish_pixel(call, row, image, y, x);
    }
  });
}

}  // namespace facegen::cpu
