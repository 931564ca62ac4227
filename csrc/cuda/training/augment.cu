#include "cuda/training/augment.h"

#include <cfloat>

#include "cuda/runtime/device.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/update.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

// As on the CPU: further out than this, points are no longer told apart.
constexpr float kFarthest = 4194304.0f;  // 2^22

struct WarpArguments {
  const float *matrices, *lenses;
  int32_t h, w, c;
  bool folded;
};

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
__device__ inline void find_point(const WarpArguments& a, int64_t i, AxisTaps<Taps>& rows,
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
__global__ void __launch_bounds__(kBlock)
    warp_kernel(WarpArguments a, const float* in, int64_t pixels, float* out) {
  for_each_number(pixels, [&](int64_t i) {
    AxisTaps<Taps> rows, columns;
    find_point(a, i, rows, columns);
    const float* const picture = in + i / (int64_t{a.h} * a.w) * a.h * a.w * a.c;
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
__global__ void __launch_bounds__(kBlock)
    scale_kernel(const float* gradient, int64_t floats, int32_t spare_bits, double* scales) {
  __shared__ uint32_t largest;
  if (threadIdx.x == 0) largest = 0;
  __syncthreads();
  uint32_t mine = 0;  // the order of floats' bits is theirs, with infinity and NaN above
  for (int64_t i = threadIdx.x; i < floats; i += kBlock) {
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
__global__ void __launch_bounds__(kBlock)
    warp_adjoint_kernel(WarpArguments a, const float* gradient, const double* scales, int64_t pixels,
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

__global__ void __launch_bounds__(kBlock)
    from_sums_kernel(const int64_t* sums, const double* scales, int64_t floats, int64_t count, float* out) {
  for_each_number(count, [&](int64_t i) {
    out[i] = static_cast<float>(static_cast<double>(sums[i]) / scales[i / floats]);
  });
}

__global__ void __launch_bounds__(kBlock) mirror_kernel(const uint8_t* mirrored, int32_t h, int32_t w, int32_t c,
                                                        const float* in, int64_t count, float* out) {
  for_each_number(count, [&](int64_t i) {
    const int64_t pixel = i / c, row = pixel / w, x = pixel - row * w;
    const int64_t from = mirrored[row / h] ? row * w + w - 1 - x : pixel;
    out[i] = in[from * c + (i - pixel * c)];
  });
}

// A block has a picture (pixels, 3): its colours' sums, in double and always in the same order, then its pixels.
__global__ void __launch_bounds__(kBlock)
    recolour_kernel(const double* colours, int64_t pixels, float* pictures) {
  __shared__ double sums[3][kBlock];
  __shared__ float matrix[12];
  float* const picture = pictures + blockIdx.x * pixels * 3;
  double mine[3] = {};
  for (int64_t i = threadIdx.x; i < pixels; i += kBlock) {
    for (int c = 0; c < 3; ++c) mine[c] += static_cast<double>(picture[3 * i + c]);
  }
  for (int c = 0; c < 3; ++c) sums[c][threadIdx.x] = mine[c];
  __syncthreads();
  for (unsigned half = kBlock / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) {
      for (int c = 0; c < 3; ++c) sums[c][threadIdx.x] += sums[c][threadIdx.x + half];
    }
    __syncthreads();
  }
  if (threadIdx.x < 3) {
    const unsigned row = threadIdx.x;
    const double* const a = colours + 21 * blockIdx.x + 3 * row;
    double shift = 0.0;
    for (int c = 0; c < 3; ++c) {
      matrix[4 * row + c] = static_cast<float>(a[c]);
      shift += a[9 + c] * (sums[c][0] / static_cast<double>(pixels));
    }
    matrix[4 * row + 3] = static_cast<float>(shift + colours[21 * blockIdx.x + 18 + row]);
  }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < pixels; i += kBlock) {
    float* const p = picture + 3 * i;
    const float r = p[0], g = p[1], b = p[2];
    for (int c = 0; c < 3; ++c) {
      const float* const m = matrix + 4 * c;
      p[c] = times(m[0], r) + times(m[1], g) + times(m[2], b) + m[3];
    }
  }
}

__global__ void __launch_bounds__(kBlock)
    hide_kernel(const int32_t* hidden, int32_t h, int32_t w, int32_t c, int64_t count, float* pictures) {
  for_each_number(count, [&](int64_t i) {
    const int64_t pixel = i / c, row = pixel / w, image = row / h, x = pixel - row * w, y = row - image * h;
    const int32_t* const at = hidden + 4 * image;
    if (y >= at[0] && y < at[1] && x >= at[2] && x < at[3]) pictures[i] = 0.0f;
  });
}

template <typename T>
T* grown(DeviceMemory<T>& memory, int64_t count) {
  if (memory.count() < count) {
    memory = {};
    memory = allocate_device<T>(count);
  }
  return memory.get();
}

// Nothing is under way when a call returns.
struct Settled {
  cudaStream_t stream;
  ~Settled() { cudaStreamSynchronize(stream); }
};

int64_t floats_of(const PictureChange& change) { return int64_t{1} * change.h * change.w * change.c; }

}  // namespace

struct PictureChanges::Numbers {
  const uint8_t* mirrored;
  const float *matrices, *lenses;
  const double* colours;
  const int32_t* hidden;
};

PictureChanges::PictureChanges(int device) : device_(device) {
  find_device(device);
  const DeviceScope scope(device);
  stream_ = make_stream();
}

PictureChanges::Numbers PictureChanges::send(const PictureChange& change) {
  const int64_t n = change.images;
  const auto round = [](int64_t bytes) { return divide_up(bytes, int64_t{16}) * 16; };
  char* to = grown(numbers_, round(n) + round(36 * n) + round(4 * n) + round(168 * n) + round(16 * n));
  const auto put = [&](auto* from, int64_t count) {
    const int64_t bytes = count * static_cast<int64_t>(sizeof *from);
    char* const place = to;
    if (from != nullptr) intake_.copies().copy_up(place, from, bytes, stream_.get());
    to += round(bytes);
    return reinterpret_cast<decltype(from)>(place);
  };
  Numbers numbers = {};
  numbers.mirrored = put(change.mirrored, n);
  numbers.matrices = put(change.matrices, 9 * n);
  numbers.lenses = put(change.lenses, n);
  numbers.colours = put(change.colours, 21 * n);
  numbers.hidden = put(change.hidden, 4 * n);
  return numbers;
}

void PictureChanges::change(const PictureChange& change, const Source& from, float* to) {
  if (change.images == 0) return;
  const DeviceScope scope(device_);
  const Settled settled = {stream_.get()};
  const bool moved = change.mirrored != nullptr || change.matrices != nullptr;
  const int64_t floats = floats_of(change);
  float* const first = moved ? grown(other_, change.images * floats) : to;
  const Numbers numbers = send(change);
  intake_.take(from, floats, SourceRule::kNumbers, 0, first, nullptr, stream_.get());
  if (change.adjoint) {
    recolour_and_hide(change, numbers, first);
    if (moved) resample(change, numbers, first, to);
  } else {
    if (moved) resample(change, numbers, first, to);
    recolour_and_hide(change, numbers, to);
  }
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
}

void PictureChanges::add(const Source& x, const Source& y, int64_t floats, float* to) {
  if (x.images == 0) return;
  const DeviceScope scope(device_);
  const Settled settled = {stream_.get()};
  float* const other = grown(other_, x.images * floats);
  intake_.take(x, floats, SourceRule::kNumbers, 0, to, nullptr, stream_.get());
  intake_.take(y, floats, SourceRule::kNumbers, 0, other, nullptr, stream_.get());
  add_numbers(other, to, x.images * floats, stream_.get());
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
}

void PictureChanges::recolour_and_hide(const PictureChange& change, const Numbers& numbers, float* pictures) {
  const int64_t pixels = int64_t{1} * change.h * change.w, count = change.images * floats_of(change);
  const auto recolour = [&] {
    if (change.colours == nullptr) return;
    recolour_kernel<<<grid(change.images), kBlock, 0, stream_.get()>>>(numbers.colours, pixels, pictures);
    FACEGEN_CUDA_CHECK_LAUNCH("colours of pictures");
  };
  if (!change.adjoint) recolour();
  if (change.hidden != nullptr) {
    hide_kernel<<<grid_of(count), kBlock, 0, stream_.get()>>>(numbers.hidden, change.h, change.w, change.c, count,
                                                              pictures);
    FACEGEN_CUDA_CHECK_LAUNCH("squares that are hidden");
  }
  if (change.adjoint) recolour();
}

void PictureChanges::resample(const PictureChange& change, const Numbers& numbers, const float* from, float* to) {
  const int64_t floats = floats_of(change), count = change.images * floats, pixels = count / change.c;
  const cudaStream_t stream = stream_.get();
  if (change.mirrored != nullptr) {  // its own adjoint
    mirror_kernel<<<grid_of(count), kBlock, 0, stream>>>(numbers.mirrored, change.h, change.w, change.c, from,
                                                         count, to);
    FACEGEN_CUDA_CHECK_LAUNCH("mirror images");
    return;
  }
  const WarpArguments a = {numbers.matrices, numbers.lenses, change.h, change.w, change.c, change.folded};
  if (!change.adjoint) {
    const auto warp = change.cubic ? warp_kernel<4> : warp_kernel<2>;
    warp<<<grid_of(pixels), kBlock, 0, stream>>>(a, from, pixels, to);
    FACEGEN_CUDA_CHECK_LAUNCH("pictures resampled");
    return;
  }
  int32_t spare_bits = 4;  // 16 taps of each of the result's pixels
  while (int64_t{1} << (spare_bits - 4) < pixels / change.images) ++spare_bits;
  int64_t* const sums = grown(sums_, count);
  double* const scales = grown(scales_, change.images);
  scale_kernel<<<grid(change.images), kBlock, 0, stream>>>(from, floats, spare_bits, scales);
  FACEGEN_CUDA_CHECK_LAUNCH("a gradient's scale");
  FACEGEN_CUDA_CHECK(cudaMemsetAsync(sums, 0, static_cast<std::size_t>(8 * count), stream));
  const auto back = change.cubic ? warp_adjoint_kernel<4> : warp_adjoint_kernel<2>;
  back<<<grid_of(pixels), kBlock, 0, stream>>>(a, from, scales, pixels, sums);
  FACEGEN_CUDA_CHECK_LAUNCH("a gradient on its way back");
  from_sums_kernel<<<grid_of(count), kBlock, 0, stream>>>(sums, scales, floats, count, to);
  FACEGEN_CUDA_CHECK_LAUNCH("a gradient's sums");
}

}  // namespace facegen::cuda
