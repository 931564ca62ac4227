// Pictures resampled, and gradients on their way back. A point of the result is the sum of pixels near where it
// comes from, as csrc/cpu/isa/warp.h has it, to the bit; on the way back these pixels get its gradient.
#include "cuda/training/warp.h"

#include <cfloat>

#include "cuda/training/launch.cuh"

namespace facegen::cuda {
namespace {

// As on the CPU: further out than this, points are no longer told apart.
constexpr float kFarthest = 4194304.0f;  // 2^22

// A product that no addition takes into itself.
__device__ inline float times(float a, float b) { return __fmul_rn(a, b); }

// What a point takes of one axis: which pixels, and how much of each.
template <int Taps>
struct AxisTaps {
  int32_t at[Taps];
  float weight[Taps];
};

__device__ inline void set_weights(float share, float (&weights)[2]) {
  weights[0] = 1.0f - share;
  weights[1] = share;
}

// Keys' cubic convolution, as on the CPU.
__device__ inline void set_weights(float share, float (&weights)[4]) {
  constexpr float a = -0.75f;
  const auto near = [](float t) {
    return times(times(times(a + 2.0f, t) - (a + 3.0f), t), t) + 1.0f;
  };
  const auto far = [](float t) {
    return times(times(times(a, t) - 5.0f * a, t) + 8.0f * a, t) - 4.0f * a;
  };
  weights[0] = far(share + 1.0f);
  weights[1] = near(share);
  weights[2] = near(1.0f - share);
  weights[3] = far(2.0f - share);
}

template <int Taps>
__device__ inline void find_taps(float point, int32_t size, bool folded, AxisTaps<Taps>& taps) {
  const float pixels = static_cast<float>(size), period = 2.0f * pixels;
  float at = times(times(point + 1.0f, pixels) - 1.0f, 0.5f);
  at = at == at ? fminf(fmaxf(at, -kFarthest), kFarthest) : 0.0f;
  const float first = floorf(at);
  set_weights(at - first, taps.weight);
  for (int t = 0; t < Taps; ++t) {
    float pixel = first + static_cast<float>(t + 1 - Taps / 2);
    if (folded) {
      pixel = pixel - times(period, floorf(__fdiv_rn(pixel, period)));
      pixel = fminf(pixel, period - 1.0f - pixel);
    } else {
      if (pixel < 0.0f || pixel >= pixels) taps.weight[t] = 0.0f;
      pixel = fminf(fmaxf(pixel, 0.0f), pixels - 1.0f);
    }
    taps.at[t] = static_cast<int32_t>(pixel);
  }
}

// What pixel i, of all results, takes of its picture.
template <int Taps>
__device__ inline void find_point(const Warps& a, int64_t i, AxisTaps<Taps>& rows,
                                  AxisTaps<Taps>& columns) {
  const int64_t row = i / a.w, image = row / a.h;
  const float* const m = a.matrices + 9 * image;
  const auto centre = [](int64_t pixel, int32_t size) {
    return times(static_cast<float>(pixel) + 0.5f, __fdiv_rn(2.0f, static_cast<float>(size))) - 1.0f;
  };
  float px = centre(i - row * a.w, a.w), py = centre(row - image * a.h, a.h);
  const float lens = a.lenses[image];
  if (lens != 0.0f) {
    const float factor = 1.0f + times(lens, times(px, px) + times(py, py));
    px = times(px, factor);
    py = times(py, factor);
  }
  const auto line = [&](const float* r) { return times(r[0], px) + times(r[1], py) + r[2]; };
  float u = line(m), v = line(m + 3);
  if (m[6] != 0.0f || m[7] != 0.0f || m[8] != 1.0f) {
    const float depth = line(m + 6);
    u = __fdiv_rn(u, depth);
    v = __fdiv_rn(v, depth);
  }
  find_taps(u, a.w, a.folded, columns);
  find_taps(v, a.h, a.folded, rows);
}

// A thread has a pixel of the result.
template <int Taps>
__global__ void __launch_bounds__(kBlockThreads)
    warp_kernel(Warps a, const float* in, int64_t pixels, float* out) {
  for_each_number(pixels, [&](int64_t i) {
    AxisTaps<Taps> rows, columns;
    find_point(a, i, rows, columns);
    const int64_t image = i / (int64_t{a.h} * a.w);
    const int64_t of = a.chosen == nullptr ? image : a.chosen[image];
    const float* const picture = in + of * a.h * a.w * a.c;
    for (int c = 0; c < a.c; ++c) {
      float sum = 0.0f;
      for (int r = 0; r < Taps; ++r) {
        float along = 0.0f;
        for (int k = 0; k < Taps; ++k) {
          const int64_t pixel = int64_t{rows.at[r]} * a.w + columns.at[k];
          along += times(columns.weight[k], picture[pixel * a.c + c]);
        }
        sum += times(rows.weight[r], along);
      }
      out[i * a.c + c] = sum;
    }
  });
}

// scales[n]: a power of 2 that makes the largest number of a gradient's picture so many bits long that the sum of
// all that its pixels can take has 62; NaN where that number is not finite. A block has a picture.
__global__ void __launch_bounds__(kBlockThreads)
    scale_kernel(const float* gradient, int64_t floats, int32_t spare_bits, double* scales) {
  __shared__ uint32_t largest;
  if (threadIdx.x == 0) largest = 0;
  __syncthreads();
  uint32_t mine = 0;  // the order of floats' bits is theirs, with infinity and NaN above
  for (int64_t i = threadIdx.x; i < floats; i += kBlockThreads) {
    const uint32_t bits = __float_as_uint(fabsf(gradient[blockIdx.x * floats + i]));
    mine = bits > mine ? bits : mine;
  }
  atomicMax(&largest, mine);
  __syncthreads();
  if (threadIdx.x != 0) return;
  const float most = __uint_as_float(largest);
  int exponent = 0;
  frexpf(most, &exponent);  // most < 2^exponent
  scales[blockIdx.x] = !(most <= FLT_MAX) ? NAN : most == 0.0f ? 1.0 : ldexp(1.0, 62 - spare_bits - exponent);
}

template <int Taps>
__global__ void __launch_bounds__(kBlockThreads)
    warp_adjoint_kernel(Warps a, const float* gradient, const double* scales, int64_t pixels,
                        int64_t* sums) {
  for_each_number(pixels, [&](int64_t i) {
    AxisTaps<Taps> rows, columns;
    find_point(a, i, rows, columns);
    const int64_t image = i / (int64_t{a.h} * a.w);
    const double scale = scales[image];
    int64_t* const picture = sums + image * a.h * a.w * a.c;
    for (int c = 0; c < a.c; ++c) {
      const float from = gradient[i * a.c + c];
      for (int r = 0; r < Taps; ++r) {
        const float along = times(rows.weight[r], from);
        for (int k = 0; k < Taps; ++k) {
          const int64_t pixel = int64_t{rows.at[r]} * a.w + columns.at[k];
          const double share = static_cast<double>(times(columns.weight[k], along)) * scale;
          atomicAdd(reinterpret_cast<unsigned long long*>(picture + pixel * a.c + c),
                    static_cast<unsigned long long>(__double2ll_rn(share)));
        }
      }
    }
  });
}

__global__ void __launch_bounds__(kBlockThreads)
    from_sums_kernel(const int64_t* sums, const double* scales, int64_t floats, int64_t count, float* out) {
  for_each_number(count, [&](int64_t i) {
    out[i] = static_cast<float>(static_cast<double>(sums[i]) / scales[i / floats]);
  });
}

}  // namespace

void run_warp(const Warps& a, const float* from, float* to, cudaStream_t stream) {
  const auto kernel = a.cubic ? warp_kernel<4> : warp_kernel<2>;
  kernel<<<grid_of(a.pixels()), kBlockThreads, 0, stream>>>(a, from, a.pixels(), to);
  FACEGEN_CUDA_CHECK_LAUNCH("pictures resampled");
}

void run_warp_adjoint(const Warps& a, const float* from, int64_t* sums, double* scales, float* to,
                      cudaStream_t stream) {
  const int64_t pixels = a.pixels(), count = pixels * a.c, floats = count / a.images;
  int32_t spare_bits = 4;  // 16 taps of each of the result's pixels
  while (int64_t{1} << (spare_bits - 4) < pixels / a.images) ++spare_bits;
  scale_kernel<<<grid(a.images), kBlockThreads, 0, stream>>>(from, floats, spare_bits, scales);
  FACEGEN_CUDA_CHECK_LAUNCH("a gradient's scale");
  FACEGEN_CUDA_CHECK(cudaMemsetAsync(sums, 0, static_cast<std::size_t>(8 * count), stream));
  const auto kernel = a.cubic ? warp_adjoint_kernel<4> : warp_adjoint_kernel<2>;
  kernel<<<grid_of(pixels), kBlockThreads, 0, stream>>>(a, from, scales, pixels, sums);
  FACEGEN_CUDA_CHECK_LAUNCH("a gradient on its way back");
  from_sums_kernel<<<grid_of(count), kBlockThreads, 0, stream>>>(sums, scales, floats, count, to);
  FACEGEN_CUDA_CHECK_LAUNCH("a gradient's sums");
}

}  // namespace facegen::cuda
