// Gradients of max pools, gathered: each number of x asks the windows that it is in, in their order, whether it
// is the first largest there.
#include "cuda/runtime/error.h"
#include "cuda/training/pixels.cuh"
#include "cuda/training/pool.cuh"
#include "cuda/training/ramp.cuh"

namespace facegen::cuda {
namespace {

// NaN is the largest, as in the pool: where there is one, the largest is none of the others.
__device__ inline bool is_largest(float value, float largest) { return value == largest || value != value; }

// And where the gradient goes: dx, through the slope of a ramp whose output x is, and dx as an operand.
struct PoolGradient {
  const float *y, *dy;
  float* dx;
  bool accumulate;
  Ramp ramp;
  OperandTarget operand;
};

// The gradient in a pixel's channels from `channel` on. What an operand has behind the channels is 0.
template <int kVector>
__device__ inline void put_gradient(const Pool& p, const PoolGradient& g, int64_t pixel, int channel,
                                    Numbers<kVector> sum) {
  if (channel < p.channels) {
    const int64_t i = pixel * p.channels + channel;
    if (g.ramp.slope != 1.0f) {
      const Numbers<kVector> x = load_numbers<kVector>(p.x + i);
#pragma unroll
      for (int e = 0; e < kVector; ++e) sum.v[e] = g.ramp.gradient(x.v[e], sum.v[e]);
    }
    if (!g.operand.alone) store_numbers(g.dx + i, sum);
  }
  if (g.operand.to != nullptr) write_operand(g.operand, pixel * g.operand.pitch + channel, sum);
}

// Windows of kKernel x kKernel in steps of kStride. A cell is what of a window's pixels, its first kStride x
// kStride, no window behind it has: it is in that window, and in some before.
//
//   3x3, 2:   a a b b b      window a ends in the cell [ ] of window b: its last pixel
//             a a b b b
//             a a[b b]b      the windows of the row below begin here too
//              ...
template <int kKernel, int kStride, int kVector>
__global__ void __launch_bounds__(kBlockThreads)
    cells_gradient_kernel(const __grid_constant__ Pool p, const __grid_constant__ PoolWalk walk,
                          const __grid_constant__ PoolGradient g) {
  constexpr int kBefore = (kKernel - 1) / kStride;  // windows of a row that end in the cell
  for_each_place(walk, [&](int64_t image, int cell_y, int cell_x, int vector) {
    const int cell_top = p.top(cell_y), cell_left = p.left(cell_x), row = p.in_w * p.channels;
    const int channel = vector * kVector;
    const int64_t cell = p.in(image, cell_top, cell_left) + channel;
    const int64_t out = p.out(image, cell_y, cell_x) + channel;
    Numbers<kVector> sum[kStride][kStride] = {};
    const bool is_there = channel < p.channels;
    if (g.accumulate && is_there) {
#pragma unroll
      for (int r = 0; r < kStride; ++r) {
#pragma unroll
        for (int c = 0; c < kStride; ++c) {
          if (!p.has(cell_top + r, cell_left + c)) continue;
          sum[r][c] = load_numbers<kVector>(g.dx + cell + r * row + c * p.channels);
        }
      }
    }
#pragma unroll
    for (int before_y = kBefore; before_y >= 0; --before_y) {
#pragma unroll
      for (int before_x = kBefore; before_x >= 0; --before_x) {
        if (!is_there || !p.has_window(cell_y - before_y, cell_x - before_x)) continue;
        // The window's pixels up to the last of the cell's, by their places from the cell's first.
        const int first_r = -before_y * kStride, first_c = -before_x * kStride;
        const int last_r = min(kStride, first_r + kKernel) - 1, last_c = min(kStride, first_c + kKernel) - 1;
        const auto takes = [&](int r, int c) {
          return (r < last_r || (r == last_r && c <= last_c)) && p.has(cell_top + r, cell_left + c);
        };
        Numbers<kVector> window[kKernel][kKernel];
#pragma unroll
        for (int ty = 0; ty < kKernel; ++ty) {
#pragma unroll
          for (int tx = 0; tx < kKernel; ++tx) {
            const int r = first_r + ty, c = first_c + tx;
            if (takes(r, c)) window[ty][tx] = load_numbers<kVector>(p.x + cell + r * row + c * p.channels);
          }
        }
        const int64_t at = out - (int64_t{before_y} * p.out_w + before_x) * p.channels;
        const Numbers<kVector> dy = load_numbers<kVector>(g.dy + at);
        Numbers<kVector> largest;
        if constexpr (kBefore > 0) {
          largest = load_numbers<kVector>(g.y + at);
        } else {  // all of the window is here
          largest = all_of<kVector>(-CUDART_INF_F);
#pragma unroll
          for (int ty = 0; ty < kKernel; ++ty) {
#pragma unroll
            for (int tx = 0; tx < kKernel; ++tx) {
              if (takes(first_r + ty, first_c + tx)) grow(largest, window[ty][tx]);
            }
          }
        }
        bool open[kVector];
#pragma unroll
        for (int e = 0; e < kVector; ++e) open[e] = true;
#pragma unroll
        for (int ty = 0; ty < kKernel; ++ty) {
#pragma unroll
          for (int tx = 0; tx < kKernel; ++tx) {
            const int r = first_r + ty, c = first_c + tx;
            if (!takes(r, c)) continue;
#pragma unroll
            for (int e = 0; e < kVector; ++e) {
              const bool here = open[e] && is_largest(window[ty][tx].v[e], largest.v[e]);
              if (r >= 0 && c >= 0 && c < kStride && here) sum[r][c].v[e] += dy.v[e];
              open[e] = open[e] && !here;
            }
          }
        }
      }
    }
#pragma unroll
    for (int r = 0; r < kStride; ++r) {
#pragma unroll
      for (int c = 0; c < kStride; ++c) {
        if (!p.has(cell_top + r, cell_left + c)) continue;
        put_gradient(p, g, p.pixel(image, cell_top + r, cell_left + c), channel, sum[r][c]);
      }
    }
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

// Any windows. Each number of x asks those that it is in, in their order, whether it is the first largest there.
__global__ void __launch_bounds__(kBlockThreads)
    any_gradient_kernel(const __grid_constant__ Pool p, const __grid_constant__ PoolWalk walk,
                        const __grid_constant__ PoolGradient g) {
  for_each_place(walk, [&](int64_t image, int y, int x, int channel) {
    const int64_t pixel = p.pixel(image, y, x);
    if (channel >= p.channels) return put_gradient<1>(p, g, pixel, channel, {});
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
    put_gradient<1>(p, g, pixel, channel, {{sum}});
  });
}

// Channels of a pixel, with what is behind them in an operand.
int columns_of(const Pool& p, const PoolGradient& g) { return g.operand.to == nullptr ? p.channels : g.operand.pitch; }

template <int kSize, int kVector>
void cells_gradient(const TrainingCall& call, const Pool& p, const PoolGradient& g) {
  const PoolWalk walk = plan_pool(call.images, divide_up(p.in_h + p.window.pad_top, 2),
                                  divide_up(p.in_w + p.window.pad_left, 2), columns_of(p, g) / kVector);
  cells_gradient_kernel<kSize, 2, kVector><<<walk.blocks(), kBlockThreads, 0, call.stream>>>(p, walk, g);
}

template <int kVector>
void max_pool_gradient(const TrainingCall& call, const Pool& p, const PoolGradient& g) {
  const int size = both(p.window.kernel_h, p.window.kernel_w), stride = both(p.window.stride_h, p.window.stride_w);
  if (stride == 2 && size == 2) return cells_gradient<2, kVector>(call, p, g);
  if (stride == 2 && size == 3) return cells_gradient<3, kVector>(call, p, g);
  const PoolWalk walk = plan_pool(call.images, p.in_h, p.in_w, columns_of(p, g));
  any_gradient_kernel<<<walk.blocks(), kBlockThreads, 0, call.stream>>>(p, walk, g);
}

}  // namespace

void run_max_pool_gradient(const TrainingCall& call) {
  const TrainingStep& s = call.step;
  const Pool p = make_pool(call);
  const PoolGradient g = {call.y.data, call.dy.data, call.dx.data, s.accumulate, make_ramp(s.activation, s.alpha),
                          call.operand};
  comes_in_fours(p.channels, {p.x, g.y, g.dy, g.dx}) ? max_pool_gradient<4>(call, p, g)
                                                     : max_pool_gradient<1>(call, p, g);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a max pool");
}

}  // namespace facegen::cuda
