// Max pools and their gradients, a thread a number of the map that is written.
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {
namespace {

struct Pool {
  const float* x;
  int32_t in_h, in_w, out_h, out_w, channels;
  Window window;

  // The rows, or columns, of the input that window o holds.
  __device__ int first_row(int oy) const { return max(0, oy * window.stride_h - window.pad_top); }
  __device__ int last_row(int oy) const {
    return min(in_h, oy * window.stride_h - window.pad_top + window.kernel_h);
  }
  __device__ int first_column(int ox) const { return max(0, ox * window.stride_w - window.pad_left); }
  __device__ int last_column(int ox) const {
    return min(in_w, ox * window.stride_w - window.pad_left + window.kernel_w);
  }
};

// A number's channel, position and image.
struct Number {
  int32_t channel, x, y;
  int64_t image;
};
__device__ inline Number find_number(int64_t i, int height, int width, int channels) {
  const int64_t pixel = i / channels, row = pixel / width;
  return {static_cast<int32_t>(i - pixel * channels), static_cast<int32_t>(pixel - row * width),
          static_cast<int32_t>(row % height), row / height};
}

__global__ void __launch_bounds__(kBlock)
    max_pool_kernel(const __grid_constant__ Pool p, float* y, int64_t count) {
  for_each_number(count, [&](int64_t i) {
    const Number at = find_number(i, p.out_h, p.out_w, p.channels);
    const float* const x = p.x + at.image * p.in_h * p.in_w * p.channels + at.channel;
    float most = -CUDART_INF_F;
    for (int iy = p.first_row(at.y); iy < p.last_row(at.y); ++iy) {
      for (int ix = p.first_column(at.x); ix < p.last_column(at.x); ++ix) {
        most = max_or_nan(most, x[(int64_t{iy} * p.in_w + ix) * p.channels]);
      }
    }
    y[i] = most;
  });
}

// Windows from the first that holds position i to before the last: o * stride - pad <= i < that + kernel.
__device__ inline int first_window(int i, int kernel, int stride, int pad) {
  const int behind = i + pad - kernel + 1;  // o * stride must be at least this
  return behind <= 0 ? 0 : (behind + stride - 1) / stride;
}
__device__ inline int last_window(int i, int stride, int pad, int out) {
  return min(out, (i + pad) / stride + 1);
}

// NaN is the largest, as in the pool.
__device__ inline bool is_largest(float value, float largest) {
  return value == largest || (isnan(value) && isnan(largest));
}

// Each number of x asks the windows that it is in, in their order, whether it is the first largest there.
__global__ void __launch_bounds__(kBlock)
    max_pool_gradient_kernel(const __grid_constant__ Pool p, const float* y, const float* dy, float* dx,
                             bool accumulate, int64_t count) {
  for_each_number(count, [&](int64_t i) {
    const Number at = find_number(i, p.in_h, p.in_w, p.channels);
    const float* const x = p.x + at.image * p.in_h * p.in_w * p.channels + at.channel;
    const float own = p.x[i];
    const Window& w = p.window;
    float sum = accumulate ? dx[i] : 0.0f;
    const int last_y = last_window(at.y, w.stride_h, w.pad_top, p.out_h);
    const int last_x = last_window(at.x, w.stride_w, w.pad_left, p.out_w);
    for (int oy = first_window(at.y, w.kernel_h, w.stride_h, w.pad_top); oy < last_y; ++oy) {
      for (int ox = first_window(at.x, w.kernel_w, w.stride_w, w.pad_left); ox < last_x; ++ox) {
        const int64_t out = ((at.image * p.out_h + oy) * p.out_w + ox) * p.channels + at.channel;
        const float largest = y[out];
        if (!is_largest(own, largest)) continue;
        bool is_first = true;
        for (int iy = p.first_row(oy); iy <= at.y && is_first; ++iy) {
          const int end = iy == at.y ? at.x : p.last_column(ox);
          for (int ix = p.first_column(ox); ix < end && is_first; ++ix) {
            is_first = !is_largest(x[(int64_t{iy} * p.in_w + ix) * p.channels], largest);
          }
        }
        if (is_first) sum += dy[out];
      }
    }
    dx[i] = sum;
  });
}

Pool make_pool(const TrainingCall& call) {
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  return {call.x.data, x.h, x.w, y.h, y.w, x.c, call.step.window};
}

}  // namespace

void run_max_pool(const TrainingCall& call) {
  const int64_t count = call.images * call.y.value->floats();
  max_pool_kernel<<<grid_of(count), kBlock, 0, call.stream>>>(make_pool(call), call.y.data, count);
  FACEGEN_CUDA_CHECK_LAUNCH("a max pool");
}

void run_max_pool_gradient(const TrainingCall& call) {
  const int64_t count = call.images * call.x.value->floats();
  max_pool_gradient_kernel<<<grid_of(count), kBlock, 0, call.stream>>>(
      make_pool(call), call.y.data, call.dy.data, call.dx.data, call.step.accumulate, count);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a max pool");
}

}  // namespace facegen::cuda
