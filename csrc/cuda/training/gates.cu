// PReLU and products of maps, as gates are, and their gradients.
#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"
#include "cuda/training/numbers.cuh"
#include "cuda/training/rows.cuh"

namespace facegen::cuda {
namespace {

// to (+)= from, times its channel's slope where x < 0: forwards from is x, backwards dy.
struct Prelu {
  const float *x, *from, *slopes;
  float* to;
  int32_t channels;
  bool accumulate;
};

template <int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    prelu_kernel(const __grid_constant__ Prelu a, int64_t count) {
  for_each_number(count / kCount, [&](int64_t run) {
    const int64_t i = run * kCount;
    const Numbers<kCount> x = load_numbers<kCount>(a.x + i);
    const Numbers<kCount> slope = load_numbers<kCount>(a.slopes + channel_of(i, a.channels));
    Numbers<kCount> v = load_numbers<kCount>(a.from + i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) v.v[k] *= x.v[k] < 0.0f ? slope.v[k] : 1.0f;
    put_numbers(a.to + i, v, a.accumulate);
  });
}

// y (+)= x * other, which may have one pixel for all of an image, or one channel for all of a pixel.
struct Product {
  const float *x, *other;
  float* y;
  int64_t image_floats;  // of x
  int32_t channels;
  bool one_pixel, one_channel, accumulate;

  // Those of numbers i on.
  template <int kCount>
  __device__ Numbers<kCount> factors(int64_t i) const {
    if (one_channel) {
      Numbers<kCount> all;
      const float factor = other[quotient(i, channels)];
#pragma unroll
      for (float& each : all.v) each = factor;
      return all;
    }
    if (!one_pixel) return load_numbers<kCount>(other + i);
    return load_numbers<kCount>(other + quotient(i, image_floats) * channels + channel_of(i, channels));
  }
};

template <int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    multiply_kernel(const __grid_constant__ Product a, int64_t count) {
  for_each_number(count / kCount, [&](int64_t run) {
    const int64_t i = run * kCount;
    Numbers<kCount> v = load_numbers<kCount>(a.x + i);
    const Numbers<kCount> factors = a.factors<kCount>(i);
#pragma unroll
    for (int k = 0; k < kCount; ++k) v.v[k] *= factors.v[k];
    put_numbers(a.y + i, v, a.accumulate);
  });
}

// Sums of x dy over pixels; of a slope, where x < 0 alone.
template <bool kWhereNegative>
struct ProductSums {
  static constexpr int kSums = 1, kMaps = 2, kTogether = 2, kBlocks = 4;
  const float* maps[kMaps];  // x, dy

  template <int kVector>
  struct Lane : MapsLane<ProductSums, kVector> {
    using MapsLane<ProductSums, kVector>::MapsLane;
    __device__ void add(const Numbers<kVector> (&v)[2], double (&sum)[1][kVector]) const {
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const float x = !kWhereNegative || v[0].v[e] < 0.0f ? v[0].v[e] : 0.0f;
        sum[0][e] = fma(static_cast<double>(x), static_cast<double>(v[1].v[e]), sum[0][e]);
      }
    }
  };
};

// Of each pixel, over its channels.
template <int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    row_products_kernel(const __grid_constant__ Rows rows, const float* x, const float* dy, float* dx,
                        bool accumulate) {
  for_each_row(rows, [&](int64_t row, const RowThreads& threads) {
    double sum = 0.0;
    threads.for_each_run<kCount>(rows.channels, [&](int c) {
      const Numbers<kCount> a = load_numbers<kCount>(x + row * rows.channels + c);
      const Numbers<kCount> b = load_numbers<kCount>(dy + row * rows.channels + c);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        sum = fma(static_cast<double>(a.v[k]), static_cast<double>(b.v[k]), sum);
      }
    });
    sum = threads.sum(sum);
    if (threads.lane == 0) put(dx[row], static_cast<float>(sum), accumulate);
  });
}

void launch_prelu(const Prelu& a, int64_t count, cudaStream_t stream) {
  const bool fours = comes_in_fours(a.channels, {a.x, a.from, a.slopes, a.to});
  const auto kernel = fours ? prelu_kernel<4> : prelu_kernel<1>;
  kernel<<<grid_of(fours ? count / 4 : count), kBlockThreads, 0, stream>>>(a, count);
  FACEGEN_CUDA_CHECK_LAUNCH("a PReLU");
}

}  // namespace

void run_prelu(const TrainingCall& call, const float* slopes) {
  const TrainingValue& x = *call.x.value;
  launch_prelu({call.x.data, call.x.data, slopes, call.y.data, x.c, false}, call.images * x.floats(),
               call.stream);
}

void run_prelu_gradient(const TrainingCall& call, const float* slopes, float* gradient) {
  const TrainingValue& x = *call.x.value;
  if (gradient != nullptr) {
    const RowWalk walk =
        plan_column_sums(1, call.images * x.pixels(), x.c, vector_of(x.c, {&x, call.dy.value}));
    column_sums(walk, ProductSums<true>{{call.x.data, call.dy.data}}, WriteMean{gradient, x.c, 1.0, false},
                reinterpret_cast<double*>(call.scratch), call.arrivals, call.stream);
  }
  if (call.dx.data == nullptr) return;
  launch_prelu({call.x.data, call.dy.data, slopes, call.dx.data, x.c, call.step.accumulate},
               call.images * x.floats(), call.stream);
}

void run_multiply(const TrainingCall& call) {
  const TrainingValue &x = *call.x.value, &other = *call.other.value;
  const Product a = {call.x.data, call.other.data, call.y.data, x.floats(), x.c,
                     other.pixels() != x.pixels(), other.c != x.c, call.step.accumulate};
  const int64_t count = call.images * x.floats();
  const bool fours = comes_in_fours(x.c, {a.x, a.one_channel ? nullptr : a.other, a.y});
  const auto kernel = fours ? multiply_kernel<4> : multiply_kernel<1>;
  kernel<<<grid_of(fours ? count / 4 : count), kBlockThreads, 0, call.stream>>>(a, count);
  FACEGEN_CUDA_CHECK_LAUNCH("a product of maps");
}

void run_multiply_sum(const TrainingCall& call) {
  const TrainingValue& x = *call.x.value;
  if (call.dx.value->c == x.c) {
    const RowWalk walk =
        plan_column_sums(call.images, x.pixels(), x.c, vector_of(x.c, {&x, call.dy.value}));
    return column_sums(walk, ProductSums<false>{{call.x.data, call.dy.data}},
                       WriteMean{call.dx.data, x.c, 1.0, call.step.accumulate},
                       reinterpret_cast<double*>(call.scratch), call.arrivals, call.stream);
  }
  const bool fours = comes_in_fours(x.c, {call.x.data, call.dy.data});
  const Rows rows = plan_rows(call.images * x.pixels(), x.c, fours);
  const auto kernel = fours ? row_products_kernel<4> : row_products_kernel<1>;
  kernel<<<rows.grid(), kBlockThreads, 0, call.stream>>>(rows, call.x.data, call.dy.data, call.dx.data,
                                                  call.step.accumulate);
  FACEGEN_CUDA_CHECK_LAUNCH("sums of products");
}

}  // namespace facegen::cuda
