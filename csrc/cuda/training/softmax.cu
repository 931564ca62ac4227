// Softmax over the channels of each pixel, or its logarithm, and their gradients.
#include "cuda/training/call.h"
#include "cuda/training/numbers.cuh"
#include "cuda/training/rows.cuh"

namespace facegen::cuda {
namespace {

template <int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    softmax_kernel(const __grid_constant__ Rows rows, const float* x, float* y, bool log_of) {
  for_each_row(rows, [&](int64_t row, const RowThreads& threads) {
    const int channels = rows.channels;
    const float* const from = x + row * channels;
    float* const to = y + row * channels;
    float largest = -CUDART_INF_F;
    threads.for_each_run<kCount>(channels, [&](int c) {
      const Numbers<kCount> v = load_numbers<kCount>(from + c);
#pragma unroll
      for (float each : v.v) largest = fmaxf(largest, each);
    });
    largest = threads.largest(largest);
    double sum = 0.0;  // a NaN, which is not the largest, is in it
    threads.for_each_run<kCount>(channels, [&](int c) {
      const Numbers<kCount> v = load_numbers<kCount>(from + c);
#pragma unroll
      for (float each : v.v) sum += static_cast<double>(expf(each - largest));
    });
    sum = threads.sum(sum);
    const float total = static_cast<float>(log_of ? log(sum) : sum);
    threads.for_each_run<kCount>(channels, [&](int c) {
      Numbers<kCount> v = load_numbers<kCount>(from + c);
#pragma unroll
      for (float& each : v.v) {
        each -= largest;
        each = log_of ? each - total : expf(each) / total;
      }
      store_numbers(to + c, v);
    });
  });
}

// dx (+)= y (dy - the sum of dy y), of a logarithm dy - exp(y) times the sum of dy.
template <int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    softmax_gradient_kernel(const __grid_constant__ Rows rows, const float* y, const float* dy, float* dx,
                            bool log_of, bool accumulate) {
  for_each_row(rows, [&](int64_t row, const RowThreads& threads) {
    const int64_t start = row * rows.channels;
    double sum = 0.0;
    threads.for_each_run<kCount>(rows.channels, [&](int c) {
      const Numbers<kCount> g = load_numbers<kCount>(dy + start + c);
      const Numbers<kCount> v = load_numbers<kCount>(y + start + c);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const auto factor = static_cast<double>(log_of ? 1.0f : v.v[k]);
        sum = fma(static_cast<double>(g.v[k]), factor, sum);
      }
    });
    const auto total = static_cast<float>(threads.sum(sum));
    threads.for_each_run<kCount>(rows.channels, [&](int c) {
      Numbers<kCount> g = load_numbers<kCount>(dy + start + c);
      const Numbers<kCount> v = load_numbers<kCount>(y + start + c);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        g.v[k] = log_of ? g.v[k] - expf(v.v[k]) * total : v.v[k] * (g.v[k] - total);
      }
      put_numbers(dx + start + c, g, accumulate);
    });
  });
}

}  // namespace

void run_softmax(const TrainingCall& call) {
  const TrainingValue& x = *call.x.value;
  const bool fours = comes_in_fours(x.c, {call.x.data, call.y.data});
  const Rows rows = plan_rows(call.images * x.pixels(), x.c, fours);
  const auto kernel = fours ? softmax_kernel<4> : softmax_kernel<1>;
  kernel<<<rows.grid(), kBlockThreads, 0, call.stream>>>(rows, call.x.data, call.y.data, call.step.log);
  FACEGEN_CUDA_CHECK_LAUNCH("a softmax");
}

void run_softmax_gradient(const TrainingCall& call) {
  const TrainingValue& y = *call.y.value;
  const bool fours = comes_in_fours(y.c, {call.y.data, call.dy.data, call.dx.data});
  const Rows rows = plan_rows(call.images * y.pixels(), y.c, fours);
  const auto kernel = fours ? softmax_gradient_kernel<4> : softmax_gradient_kernel<1>;
  kernel<<<rows.grid(), kBlockThreads, 0, call.stream>>>(rows, call.y.data, call.dy.data, call.dx.data,
                                                  call.step.log, call.step.accumulate);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a softmax");
}

}  // namespace facegen::cuda
