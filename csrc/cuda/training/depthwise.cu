// Depthwise convolution in training, and its gradients in its input and its weight. All are bound by memory:
// neighbouring threads have neighbouring channels, and each has four neighbouring pixels, so that what is
// between them is loaded once a row of taps. The convolution itself is inference's kernel.
//
// Output o of an axis reads  i = o * stride - pad + t * dilation  by tap t; so input i gives to output
// (i + pad - t * dilation) / stride, where that has no rest.
#include "cuda/generic/depthwise.h"

#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {
namespace {

constexpr int kPixels = kDepthwisePixels;  // neighbouring ones of a thread

// to (taps, channels) = weight (channels, taps)
__global__ void __launch_bounds__(kBlockThreads)
    turn_weight_kernel(const float* weight, float* to, int channels, int64_t taps) {
  for_each_number(channels * taps, [&](int64_t i) {
    const int64_t tap = quotient(i, channels);
    to[i] = weight[(i - tap * channels) * taps + tap];
  });
}

int64_t taps_of(const Window& w) { return int64_t{1} * w.kernel_h * w.kernel_w; }

// Channels inside, in the scratch.
float* turn_weight(const TrainingCall& call, const float* weight, int channels) {
  auto* const turned = reinterpret_cast<float*>(call.scratch);
  const int64_t taps = taps_of(call.step.window);
  turn_weight_kernel<<<grid_of(channels * taps), kBlockThreads, 0, call.stream>>>(weight, turned, channels, taps);
  FACEGEN_CUDA_CHECK_LAUNCH("weights with channels inside");
  return turned;
}

struct Gradient {
  const float* dy;
  const float* weight;  // (taps, channels)
  float* dx;
  int32_t in_h, in_w, out_h, out_w, channels;
  Window window;
  bool accumulate;
};

// kTaps in a row of dilation 1, and the rest of pad_left by kStride; or any where kTaps is 0.
template <int kTaps, int kStride, int kRest, int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    depthwise_gradient_kernel(const __grid_constant__ Gradient g, int64_t count) {
  static_assert(kPixels % kStride == 0);
  const int runs = g.channels / kCount, columns = (g.in_w + kPixels - 1) / kPixels;
  const Window& w = g.window;
  for_each_number(count, [&](int64_t i) {
    const int64_t place = quotient(i, runs), line = quotient(place, columns);  // a row of an image
    const int64_t image = quotient(line, g.in_h);
    const int channel = static_cast<int>(i - place * runs) * kCount;
    const int first = static_cast<int>(place - line * columns) * kPixels;
    const int iy = static_cast<int>(line - image * g.in_h);
    Numbers<kCount> sum[kPixels] = {};
    const auto add = [&](int pixel, const Numbers<kCount>& a, const Numbers<kCount>& b) {
#pragma unroll
      for (int k = 0; k < kCount; ++k) sum[pixel].v[k] = fmaf(a.v[k], b.v[k], sum[pixel].v[k]);
    };
    for (int ty = 0; ty < w.kernel_h; ++ty) {
      const int y = iy + w.pad_top - ty * w.dilation_h;
      if (y < 0 || y % w.stride_h != 0 || y / w.stride_h >= g.out_h) continue;
      const float* const dy =
          g.dy + (image * g.out_h + y / w.stride_h) * g.out_w * g.channels + channel;
      const float* const weight = g.weight + int64_t{ty} * w.kernel_w * g.channels + channel;
      if constexpr (kTaps > 0) {
        // first + pad_left = base * kStride + kRest: pixel p is read by output base + j through tap
        // p + kRest - j * kStride.
        const int base = (first + w.pad_left) / kStride;
        constexpr int kFirst = -((kTaps - 1 - kRest) / kStride), kLast = (kPixels - 1 + kRest) / kStride;
        Numbers<kCount> by[kTaps];
#pragma unroll
        for (int tap = 0; tap < kTaps; ++tap) by[tap] = load_numbers<kCount>(weight + int64_t{tap} * g.channels);
#pragma unroll
        for (int j = kFirst; j <= kLast; ++j) {
          const int ox = base + j;
          if (ox < 0 || ox >= g.out_w) continue;
          const Numbers<kCount> from = load_numbers<kCount>(dy + int64_t{ox} * g.channels);
#pragma unroll
          for (int p = 0; p < kPixels; ++p) {
            const int tap = p + kRest - j * kStride;
            if (tap >= 0 && tap < kTaps) add(p, by[tap], from);
          }
        }
      } else {
        for (int tap = 0; tap < w.kernel_w; ++tap) {
          const Numbers<kCount> by = load_numbers<kCount>(weight + int64_t{tap} * g.channels);
#pragma unroll
          for (int p = 0; p < kPixels; ++p) {
            const int x = first + p + w.pad_left - tap * w.dilation_w;
            if (x < 0 || x % w.stride_w != 0 || x / w.stride_w >= g.out_w) continue;
            add(p, by, load_numbers<kCount>(dy + int64_t{x / w.stride_w} * g.channels));
          }
        }
      }
    }
#pragma unroll
    for (int p = 0; p < kPixels; ++p) {
      if (first + p >= g.in_w) break;
      put_numbers(g.dx + (line * g.in_w + first + p) * g.channels + channel, sum[p], g.accumulate);
    }
  });
}

using GradientKernel = void (*)(Gradient, int64_t);

template <int kCount>
GradientKernel find_gradient_kernel(const Window& w) {
  if (w.dilation_w != 1 || w.stride_w > 2) return depthwise_gradient_kernel<0, 1, 0, kCount>;
  const bool halves = w.stride_w == 2, odd = w.pad_left % 2 == 1;
  if (w.kernel_w == 3) {
    if (!halves) return depthwise_gradient_kernel<3, 1, 0, kCount>;
    return odd ? depthwise_gradient_kernel<3, 2, 1, kCount> : depthwise_gradient_kernel<3, 2, 0, kCount>;
  }
  if (w.kernel_w == 5) {
    if (!halves) return depthwise_gradient_kernel<5, 1, 0, kCount>;
    return odd ? depthwise_gradient_kernel<5, 2, 1, kCount> : depthwise_gradient_kernel<5, 2, 0, kCount>;
  }
  return depthwise_gradient_kernel<0, 1, 0, kCount>;
}

// Sums of dy x by taps, over rows of kPixels outputs: products of a row are added in float32, rows in
// double. A segment is kRows by kColumns taps. kStride: of columns, whose dilation is then 1; 0: any, of one
// column of taps.
template <int kRows, int kColumns, int kStride>
struct TapSums {
  static constexpr int kSums = kRows * kColumns, kMaps = kSums, kTogether = 1, kBlocks = 2;
  const float *x, *dy;
  int32_t in_h, in_w, out_h, out_w, channels;
  Window window;
  int64_t rows;  // of a segment

  // Its maps are the products of a row.
  template <int kVector>
  struct Lane {
    const TapSums& all;
    int64_t segment;
    int channel;
    __device__ Lane(const TapSums& a, int64_t of_segment, int of_channel)
        : all(a), segment(of_segment), channel(of_channel) {}
    __device__ void read(int64_t row, int64_t, Numbers<1> (&products)[kMaps]) const {
      all.multiply(segment, row, channel, products);
    }
    __device__ void add(const Numbers<1> (&products)[kMaps], double (&sum)[kSums][1]) const {
#pragma unroll
      for (int tap = 0; tap < kSums; ++tap) sum[tap][0] += static_cast<double>(products[tap].v[0]);
    }
  };

  __device__ void multiply(int64_t segment, int64_t row, int channel, Numbers<1> (&products)[kMaps]) const {
    const Window& w = window;
    const int columns = (out_w + kPixels - 1) / kPixels, tap_columns = w.kernel_w / kColumns;
    const int64_t place = row - segment * rows, line = quotient(place, columns);  // a row of an image
    const int64_t image = quotient(line, out_h);
    const int first = static_cast<int>(place - line * columns) * kPixels;
    const int oy = static_cast<int>(line - image * out_h);
    const int ty = static_cast<int>(quotient(segment, tap_columns)) * kRows;
    const int tx = static_cast<int>(segment) % tap_columns * kColumns;
    float g[kPixels];
#pragma unroll
    for (int p = 0; p < kPixels; ++p) {
      g[p] = first + p < out_w ? dy[(line * out_w + first + p) * channels + channel] : 0.0f;
    }
    const int ix = first * w.stride_w - w.pad_left + tx * w.dilation_w;
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int iy = oy * w.stride_h - w.pad_top + (ty + r) * w.dilation_h;
      if (iy < 0 || iy >= in_h) continue;
      const float* const from = x + (image * in_h + iy) * in_w * channels + channel;
      const auto load_pixel = [&](int at) {
        return at >= 0 && at < in_w ? from[int64_t{at} * channels] : 0.0f;
      };
      float product[kColumns] = {};
      if constexpr (kStride > 0) {
#pragma unroll
        for (int j = 0; j < (kPixels - 1) * kStride + kColumns; ++j) {
          const float v = load_pixel(ix + j);
#pragma unroll
          for (int p = 0; p < kPixels; ++p) {
            const int tap = j - p * kStride;
            if (tap >= 0 && tap < kColumns) product[tap] = fmaf(g[p], v, product[tap]);
          }
        }
      } else {
        static_assert(kColumns == 1);
#pragma unroll
        for (int p = 0; p < kPixels; ++p) product[0] = fmaf(g[p], load_pixel(ix + p * w.stride_w), product[0]);
      }
#pragma unroll
      for (int tap = 0; tap < kColumns; ++tap) products[r * kColumns + tap].v[0] = product[tap];
    }
  }
};

// gradient (channels, taps); a segment has kCount taps.
template <int kCount>
struct WriteTaps {
  float* gradient;
  int64_t taps;
  __device__ void operator()(int64_t segment, int channel, const double (&sum)[kCount]) const {
#pragma unroll
    for (int tap = 0; tap < kCount; ++tap) {
      gradient[channel * taps + segment * kCount + tap] = static_cast<float>(sum[tap]);
    }
  }
};

template <int kRows, int kColumns, int kStride>
void sum_taps(const TrainingCall& call, const RowWalk& walk, float* gradient) {
  const TrainingValue &x = *call.x.value, &dy = *call.dy.value;
  const TapSums<kRows, kColumns, kStride> row = {call.x.data, call.dy.data, x.h, x.w, dy.h, dy.w, x.c,
                                                 call.step.window, walk.rows};
  column_sums<1>(walk, row, WriteTaps<kRows * kColumns>{gradient, taps_of(call.step.window)},
                     reinterpret_cast<double*>(call.scratch), call.arrivals, call.stream);
}

}  // namespace

void run_depthwise(const TrainingCall& call, const float* weight, const float* bias) {
  // That kernel takes runs of channels where a view lies at a multiple of eight floats.
  const auto dense = [](const TrainingMap& map, int32_t buffer) {
    const TrainingValue& v = *map.value;
    return View{buffer, v.h, v.w, v.c, v.c, static_cast<int64_t>(reinterpret_cast<uintptr_t>(map.data) / 4 % 8)};
  };
  const auto images = [](const TrainingMap& map) { return Images{map.data, map.value->floats()}; };
  Step step = {};
  step.op = Op::kDepthwise;
  step.in = dense(call.x, 0);
  step.out = dense(call.y, 1);
  step.window = call.step.window;
  step.weight = turn_weight(call, weight, call.x.value->c);
  step.bias = bias;
  Operands operands = {};
  operands.in = images(call.x);
  operands.out = images(call.y);
  depthwise({step, call.images, operands, call.stream});
}

void run_depthwise_gradient(const TrainingCall& call, const float* weight) {
  const TrainingValue &dx = *call.dx.value, &dy = *call.dy.value;
  const Window& w = call.step.window;
  const Gradient g = {call.dy.data, turn_weight(call, weight, dx.c), call.dx.data,       dx.h, dx.w, dy.h,
                      dy.w,         dx.c,                            w,                  call.step.accumulate};
  const bool fours = comes_in_fours(dx.c, {g.dy, g.weight, g.dx});
  const int64_t count =
      call.images * dx.h * divide_up(dx.w, kPixels) * (fours ? dx.c / 4 : dx.c);
  const GradientKernel kernel = fours ? find_gradient_kernel<4>(w) : find_gradient_kernel<1>(w);
  kernel<<<grid_of(count), kBlockThreads, 0, call.stream>>>(g, count);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a depthwise convolution");
}

void run_depthwise_weight_gradient(const TrainingCall& call, float* gradient) {
  const DepthwiseSums sums = plan_depthwise_sums(call.step.window, *call.dy.value, call.images);
  const bool halves = call.step.window.stride_w == 2;
  switch (sums.taps) {
    case DepthwiseTaps::kThreeByThree:
      return halves ? sum_taps<3, 3, 2>(call, sums.walk, gradient) : sum_taps<3, 3, 1>(call, sums.walk, gradient);
    case DepthwiseTaps::kRowOfFive:
      return halves ? sum_taps<1, 5, 2>(call, sums.walk, gradient) : sum_taps<1, 5, 1>(call, sums.walk, gradient);
    case DepthwiseTaps::kOne: return sum_taps<1, 1, 0>(call, sums.walk, gradient);
  }
}

}  // namespace facegen::cuda
