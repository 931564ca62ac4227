// Gradients of max pools, gathered: each number of x asks the windows that it is in, in their order, whether it
// is the first largest there.
#include "cuda/runtime/error.h"
#include "cuda/training/pool_gradient.cuh"

namespace facegen::cuda {
namespace {

// Windows of 2x2 in steps of 2: a pixel is in one. kSums: of four channels, which are the same of all of a
// thread's pixels.
template <int kVector, bool kSums>
__global__ void __launch_bounds__(kBlockThreads, 3)
    apart_gradient_kernel(const __grid_constant__ Pool p, const __grid_constant__ PoolWalk walk,
                          const __grid_constant__ PoolGradient g) {
  [[maybe_unused]] double own[4] = {};
  for_each_place(walk, [&](int64_t image, int oy, int ox, int vector) {
    const int top = p.top(oy), left = p.left(ox), channel = vector * kVector;
    const bool is_there = channel < p.channels;
    Numbers<kVector> x[4] = {}, sum[4] = {}, dy = {}, largest = all_of<kVector>(-CUDART_INF_F);
    bool open[kVector];  // none so far was the largest
#pragma unroll
    for (int e = 0; e < kVector; ++e) open[e] = p.has_window(oy, ox);
    if (is_there && open[0]) dy = load_numbers<kVector>(g.dy + p.out(image, oy, ox) + channel);
    const auto has = [&](int t) { return p.has(top + t / 2, left + t % 2); };
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      if (!is_there || !has(t)) continue;
      const int64_t i = p.in(image, top + t / 2, left + t % 2) + channel;
      x[t] = load_numbers<kVector>(p.x + i);
      if (g.accumulate) sum[t] = load_numbers<kVector>(g.dx + i);
    }
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      if (has(t)) grow(largest, x[t]);
    }
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      if (!has(t)) continue;
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const bool here = open[e] && is_largest(x[t].v[e], largest.v[e]);
        if (here) sum[t].v[e] += dy.v[e];
        open[e] = open[e] && !here;
      }
      const Numbers<kVector> made =
          put_pixel(p, g, p.pixel(image, top + t / 2, left + t % 2), channel, x[t], sum[t]);
      if constexpr (kSums) {
#pragma unroll
        for (int e = 0; e < kVector; ++e) own[e] += static_cast<double>(made.v[e]);
      }
    }
  });
  if constexpr (kSums) {
    finish_bias(g, own, kBlockThreads, walk.vectors, 0, p.channels, static_cast<int>(blockIdx.x),
                static_cast<int>(gridDim.x), 0);
  }
}

// Windows from the first that holds position i to before the last: o * stride - pad <= i < that + kernel.
__device__ inline int first_window(int i, int kernel, int stride, int pad) {
  const int behind = i + pad - kernel + 1;  // o * stride must be at least this
  return behind <= 0 ? 0 : (behind + stride - 1) / stride;
}
__device__ inline int last_window(int i, int stride, int pad, int out) {
  return min(out, (i + pad) / stride + 1);
}

// Any windows. Each number of x asks those that it is in, in their order, whether it is the first largest there.
__global__ void __launch_bounds__(kBlockThreads)
    any_gradient_kernel(const __grid_constant__ Pool p, const __grid_constant__ PoolWalk walk,
                        const __grid_constant__ PoolGradient g) {
  for_each_place(walk, [&](int64_t image, int y, int x, int channel) {
    const int64_t pixel = p.pixel(image, y, x);
    if (channel >= p.channels) {
      put_pixel<1>(p, g, pixel, channel, {}, {});
      return;
    }
    const float* const all = p.x + channel;
    const int64_t i = pixel * p.channels + channel;
    const float own = p.x[i];
    const Window& w = p.window;
    float sum = g.accumulate ? g.dx[i] : 0.0f;
    const int last_y = last_window(y, w.stride_h, w.pad_top, p.out_h);
    const int last_x = last_window(x, w.stride_w, w.pad_left, p.out_w);
    for (int oy = first_window(y, w.kernel_h, w.stride_h, w.pad_top); oy < last_y; ++oy) {
      for (int ox = first_window(x, w.kernel_w, w.stride_w, w.pad_left); ox < last_x; ++ox) {
        const int64_t out = p.out(image, oy, ox) + channel;
        const float largest = g.y[out];
        if (!is_largest(own, largest)) continue;
        bool is_first = true;
        for (int iy = max(0, p.top(oy)); iy <= y && is_first; ++iy) {
          const int end = iy == y ? x : p.right(ox);
          for (int ix = max(0, p.left(ox)); ix < end && is_first; ++ix) {
            is_first = !is_largest(all[p.in(image, iy, ix)], largest);
          }
        }
        if (is_first) sum += g.dy[out];
      }
    }
    put_pixel<1>(p, g, pixel, channel, {{own}}, {{sum}});
  });
}

template <int kVector>
void max_pool_gradient(const TrainingCall& call, const Pool& p, const PoolGradient& g) {
  if (has_windows(p.window, 3)) return run_overlapping_pool_gradient(call, p, g, kVector);
  if (has_windows(p.window, 2) && g.bias != nullptr) {
    const PoolWalk walk = plan_summed_pool(p.window, *call.x.value, call.images);
    apart_gradient_kernel<4, true><<<grid(walk.blocks()), kBlockThreads, 0, call.stream>>>(p, walk, g);
    return;
  }
  if (has_windows(p.window, 2)) {
    const int32_t height = cells_of(p.in_h, p.window.pad_top), width = cells_of(p.in_w, p.window.pad_left);
    const PoolWalk walk = plan_pool(call.images, height, width, columns_of(p, g) / kVector);
    apart_gradient_kernel<kVector, false><<<grid(walk.blocks()), kBlockThreads, 0, call.stream>>>(p, walk, g);
    return;
  }
  const PoolWalk walk = plan_pool(call.images, p.in_h, p.in_w, columns_of(p, g));
  any_gradient_kernel<<<grid(walk.blocks()), kBlockThreads, 0, call.stream>>>(p, walk, g);
}

}  // namespace

void run_max_pool_gradient(const TrainingCall& call) {
  const TrainingStep& s = call.step;
  const Pool p = make_pool(call);
  const PoolGradient g = {call.y.data, call.dy.data, call.dx.data, s.accumulate, make_ramp(s.activation, s.alpha),
                          call.operand,  call.bias_gradient, reinterpret_cast<double*>(call.scratch), call.arrivals};
  comes_in_fours(p.channels, {p.x, g.y, g.dy, g.dx}) ? max_pool_gradient<4>(call, p, g)
                                                     : max_pool_gradient<1>(call, p, g);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a max pool");
}

}  // namespace facegen::cuda
