// Max pools and their gradients: a thread has neighbouring channels of a pixel of y, or of a cell of x. Windows
// of 2x2 and of 3x3 have loops without ends to compute, whose readings are under way together.
#include <algorithm>

#include "cuda/fit/divide.h"
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {
namespace {

struct Pool {
  const float* x;
  int32_t in_h, in_w, out_h, out_w, channels;
  Window window;

  // The first row, or column, of the input that window o holds, and that behind its last; some may not exist.
  __device__ int top(int oy) const { return oy * window.stride_h - window.pad_top; }
  __device__ int left(int ox) const { return ox * window.stride_w - window.pad_left; }
  __device__ int bottom(int oy) const { return min(in_h, top(oy) + window.kernel_h); }
  __device__ int right(int ox) const { return min(in_w, left(ox) + window.kernel_w); }

  __device__ bool has(int iy, int ix) const {
    return static_cast<unsigned>(iy) < static_cast<unsigned>(in_h) &&
           static_cast<unsigned>(ix) < static_cast<unsigned>(in_w);
  }
  __device__ bool has_window(int oy, int ox) const {
    return static_cast<unsigned>(oy) < static_cast<unsigned>(out_h) &&
           static_cast<unsigned>(ox) < static_cast<unsigned>(out_w);
  }
  __device__ int64_t in(int64_t image, int iy, int ix) const {
    return ((image * in_h + iy) * in_w + ix) * channels;
  }
  __device__ int64_t out(int64_t image, int oy, int ox) const {
    return ((image * out_h + oy) * out_w + ox) * channels;
  }
};

// How blocks walk places (pixels of y or x, or cells) row by row, the last first.
struct PoolWalk {
  int64_t rows;  // of all images
  int32_t height, width, vectors;  // of a place
  int32_t block_rows;
  Divider by_row, by_place, by_height;

  int64_t blocks() const { return divide_up(rows, int64_t{block_rows}); }
};
PoolWalk plan_pool(int64_t images, int32_t height, int32_t width, int32_t vectors) {
  const int32_t row = width * vectors;
  PoolWalk walk = {images * height,   height, width, vectors, 1, make_divider(row), make_divider(vectors),
                   make_divider(height)};
  // Four a thread, if that leaves blocks for all of a large GPU.
  const int32_t wanted = (walk.rows * row > 4 * kBlock * 512 ? 4 : 1) * kBlock;
  walk.block_rows = std::max(1, wanted / row);
  return walk;
}

// body(image, y, x, vector) for each of a block's.
template <class Body>
__device__ inline void for_each_place(const PoolWalk& walk, const Body& body) {
  const int64_t first = int64_t{gridDim.x - 1 - blockIdx.x} * walk.block_rows;
  const int64_t image = quotient(first, walk.height), left = walk.rows - first;
  const int first_y = static_cast<int>(first - image * walk.height);
  const int rows = left < walk.block_rows ? static_cast<int>(left) : walk.block_rows;
  const int row_items = walk.width * walk.vectors, items = rows * row_items;
  for (int i = static_cast<int>(threadIdx.x); i < items; i += kBlock) {
    const int row = walk.by_row.divide(i), of_row = i - row * row_items;
    const int x = walk.by_place.divide(of_row), images = walk.by_height.divide(first_y + row);
    body(image + images, first_y + row - images * walk.height, x, of_row - x * walk.vectors);
  }
}

template <int kVector>
__device__ inline void grow(Numbers<kVector>& most, const Numbers<kVector>& x) {
#pragma unroll
  for (int e = 0; e < kVector; ++e) most.v[e] = max_or_nan(most.v[e], x.v[e]);
}

template <int kVector>
__device__ inline Numbers<kVector> all_of(float value) {
  Numbers<kVector> n;
#pragma unroll
  for (int e = 0; e < kVector; ++e) n.v[e] = value;
  return n;
}

// kKernel: of both axes; 0: any.
template <int kKernel, int kVector>
__global__ void __launch_bounds__(kBlock)
    max_pool_kernel(const __grid_constant__ Pool p, const __grid_constant__ PoolWalk walk, float* y) {
  for_each_place(walk, [&](int64_t image, int oy, int ox, int vector) {
    const int top = p.top(oy), left = p.left(ox), row = p.in_w * p.channels;
    const float* const x = p.x + p.in(image, top, left) + vector * kVector;
    Numbers<kVector> most = all_of<kVector>(-CUDART_INF_F);
    if constexpr (kKernel > 0) {
      Numbers<kVector> window[kKernel][kKernel];
#pragma unroll
      for (int ty = 0; ty < kKernel; ++ty) {
#pragma unroll
        for (int tx = 0; tx < kKernel; ++tx) {
          window[ty][tx] = p.has(top + ty, left + tx)
                               ? load_numbers<kVector>(x + ty * row + tx * p.channels)
                               : all_of<kVector>(-CUDART_INF_F);
        }
      }
#pragma unroll
      for (int ty = 0; ty < kKernel; ++ty) {
#pragma unroll
        for (int tx = 0; tx < kKernel; ++tx) grow(most, window[ty][tx]);
      }
    } else {
      for (int iy = max(0, top); iy < p.bottom(oy); ++iy) {
        for (int ix = max(0, left); ix < p.right(ox); ++ix) {
          grow(most, load_numbers<kVector>(x + int64_t{iy - top} * row + (ix - left) * p.channels));
        }
      }
    }
    store_numbers(y + p.out(image, oy, ox) + vector * kVector, most);
  });
}

// NaN is the largest, as in the pool: where there is one, the largest is none of the others.
__device__ inline bool is_largest(float value, float largest) { return value == largest || value != value; }

struct PoolGradient {
  const float *y, *dy;
  float* dx;
  bool accumulate;
};

// Windows of kKernel x kKernel in steps of kStride. A cell is what of a window's pixels, its first kStride x
// kStride, no window behind it has: it is in that window, and in some before.
//
//   3x3, 2:   a a b b b      window a ends in the cell [ ] of window b: its last pixel
//             a a b b b
//             a a[b b]b      the windows of the row below begin here too
//              ...
template <int kKernel, int kStride, int kVector>
__global__ void __launch_bounds__(kBlock)
    cells_gradient_kernel(const __grid_constant__ Pool p, const __grid_constant__ PoolWalk walk,
                          const __grid_constant__ PoolGradient g) {
  constexpr int kBefore = (kKernel - 1) / kStride;  // windows of a row that end in the cell
  for_each_place(walk, [&](int64_t image, int cell_y, int cell_x, int vector) {
    const int cell_top = p.top(cell_y), cell_left = p.left(cell_x), row = p.in_w * p.channels;
    const int64_t cell = p.in(image, cell_top, cell_left) + vector * kVector;
    const int64_t out = p.out(image, cell_y, cell_x) + vector * kVector;
    Numbers<kVector> sum[kStride][kStride] = {};
    if (g.accumulate) {
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
        if (!p.has_window(cell_y - before_y, cell_x - before_x)) continue;
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
        const Numbers<kVector> largest = load_numbers<kVector>(g.y + at), dy = load_numbers<kVector>(g.dy + at);
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
        store_numbers(g.dx + cell + r * row + c * p.channels, sum[r][c]);
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
__global__ void __launch_bounds__(kBlock)
    any_gradient_kernel(const __grid_constant__ Pool p, const __grid_constant__ PoolWalk walk,
                        const __grid_constant__ PoolGradient g) {
  for_each_place(walk, [&](int64_t image, int y, int x, int channel) {
    const float* const all = p.x + channel;
    const int64_t i = p.in(image, y, x) + channel;
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
    g.dx[i] = sum;
  });
}

Pool make_pool(const TrainingCall& call) {
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  return {call.x.data, x.h, x.w, y.h, y.w, x.c, call.step.window};
}

// Of both axes; 0: they differ.
int both(int a, int b) { return a == b ? a : 0; }

template <int kVector>
void max_pool(const TrainingCall& call, const Pool& p) {
  const PoolWalk walk = plan_pool(call.images, p.out_h, p.out_w, p.channels / kVector);
  const int size = both(p.window.kernel_h, p.window.kernel_w);
  const auto kernel = size == 2   ? max_pool_kernel<2, kVector>
                      : size == 3 ? max_pool_kernel<3, kVector>
                                  : max_pool_kernel<0, kVector>;
  kernel<<<grid(walk.blocks()), kBlock, 0, call.stream>>>(p, walk, call.y.data);
}

template <int kSize, int kVector>
void cells_gradient(const TrainingCall& call, const Pool& p, const PoolGradient& g) {
  const PoolWalk walk = plan_pool(call.images, divide_up(p.in_h + p.window.pad_top, 2),
                                  divide_up(p.in_w + p.window.pad_left, 2), p.channels / kVector);
  cells_gradient_kernel<kSize, 2, kVector><<<grid(walk.blocks()), kBlock, 0, call.stream>>>(p, walk, g);
}

template <int kVector>
void max_pool_gradient(const TrainingCall& call, const Pool& p, const PoolGradient& g) {
  const int size = both(p.window.kernel_h, p.window.kernel_w), stride = both(p.window.stride_h, p.window.stride_w);
  if (stride == 2 && size == 2) return cells_gradient<2, kVector>(call, p, g);
  if (stride == 2 && size == 3) return cells_gradient<3, kVector>(call, p, g);
  const PoolWalk walk = plan_pool(call.images, p.in_h, p.in_w, p.channels);
  any_gradient_kernel<<<grid(walk.blocks()), kBlock, 0, call.stream>>>(p, walk, g);
}

}  // namespace

void run_max_pool(const TrainingCall& call) {
  const Pool p = make_pool(call);
  comes_in_fours(p.channels, {p.x, call.y.data}) ? max_pool<4>(call, p) : max_pool<1>(call, p);
  FACEGEN_CUDA_CHECK_LAUNCH("a max pool");
}

void run_max_pool_gradient(const TrainingCall& call) {
  const Pool p = make_pool(call);
  const PoolGradient g = {call.y.data, call.dy.data, call.dx.data, call.step.accumulate};
  comes_in_fours(p.channels, {p.x, g.y, g.dy, g.dx}) ? max_pool_gradient<4>(call, p, g)
                                                     : max_pool_gradient<1>(call, p, g);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a max pool");
}

}  // namespace facegen::cuda
