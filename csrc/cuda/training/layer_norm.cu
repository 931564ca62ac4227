// Layer norms in training and their gradients: see LayerNorm in python/facegen/nn/grad/steps. A pixel's
// statistics are two floats: the mean and 1 / deviation.
#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"
#include "cuda/training/numbers.cuh"
#include "cuda/training/rows.cuh"

namespace facegen::cuda {
namespace {

struct LayerNorm {
  const float *x, *dy;
  float* to;  // y, or dx
  const float *gamma, *beta;
  float* statistics;
  float eps;
  bool accumulate;
};

// The variance is that of the differences from the mean: a mean far from 0 costs no digits.
template <int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    layer_norm_kernel(const __grid_constant__ Rows rows, const __grid_constant__ LayerNorm a) {
  for_each_row(rows, [&](int64_t row, const RowThreads& threads) {
    const float* const x = a.x + row * rows.channels;
    const auto channels = static_cast<double>(rows.channels);
    double sum = 0.0, squares = 0.0;
    threads.for_each_run<kCount>(rows.channels, [&](int c) {
      const Numbers<kCount> v = load_numbers<kCount>(x + c);
#pragma unroll
      for (float each : v.v) sum += static_cast<double>(each);
    });
    const double centre = threads.sum(sum) / channels;
    threads.for_each_run<kCount>(rows.channels, [&](int c) {
      const Numbers<kCount> v = load_numbers<kCount>(x + c);
#pragma unroll
      for (float each : v.v) {
        const double difference = static_cast<double>(each) - centre;
        squares = fma(difference, difference, squares);
      }
    });
    const double variance = threads.sum(squares) / channels;
    const auto mean = static_cast<float>(centre);
    const auto inverse = static_cast<float>(1.0 / sqrt(variance + static_cast<double>(a.eps)));
    if (threads.lane == 0) {
      a.statistics[2 * row] = mean;
      a.statistics[2 * row + 1] = inverse;
    }
    threads.for_each_run<kCount>(rows.channels, [&](int c) {
      Numbers<kCount> v = load_numbers<kCount>(x + c);
      const Numbers<kCount> gamma = load_numbers<kCount>(a.gamma + c);
      const Numbers<kCount> beta = load_numbers<kCount>(a.beta + c);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        v.v[k] = fmaf((v.v[k] - mean) * inverse, gamma.v[k], beta.v[k]);
      }
      store_numbers(a.to + row * rows.channels + c, v);
    });
  });
}

// Sums of dy and of dy h.
struct GradientSums {
  static constexpr int kSums = 2, kMaps = 2, kTogether = 2, kBlocks = 4;
  const float *x, *dy, *statistics;

  template <int kVector>
  struct Lane {
    const GradientSums& all;
    __device__ Lane(const GradientSums& a, int64_t, int) : all(a) {}
    __device__ void read(int64_t row, int64_t i, Numbers<kVector> (&v)[2]) const {
      const float mean = all.statistics[2 * row], inverse = all.statistics[2 * row + 1];
      v[0] = load_numbers<kVector>(all.dy + i);
      v[1] = load_numbers<kVector>(all.x + i);
#pragma unroll
      for (float& h : v[1].v) h = (h - mean) * inverse;
    }
    __device__ void add(const Numbers<kVector> (&v)[2], double (&sum)[2][kVector]) const {
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const auto g = static_cast<double>(v[0].v[e]);
        sum[0][e] += g;
        sum[1][e] = fma(g, static_cast<double>(v[1].v[e]), sum[1][e]);
      }
    }
  };
};

struct WriteGradients {
  float *beta, *gamma;
  __device__ void operator()(int64_t, int channel, const double (&sum)[2]) const {
    beta[channel] = static_cast<float>(sum[0]);
    gamma[channel] = static_cast<float>(sum[1]);
  }
};

template <int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    layer_norm_gradient_kernel(const __grid_constant__ Rows rows, const __grid_constant__ LayerNorm a) {
  for_each_row(rows, [&](int64_t row, const RowThreads& threads) {
    const int64_t start = row * rows.channels;
    const float mean = a.statistics[2 * row], inverse = a.statistics[2 * row + 1];
    // g = gamma dy, and h
    const auto load_both = [&](int c, Numbers<kCount>& g, Numbers<kCount>& h) {
      g = load_numbers<kCount>(a.dy + start + c);
      h = load_numbers<kCount>(a.x + start + c);
      const Numbers<kCount> gamma = load_numbers<kCount>(a.gamma + c);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        g.v[k] *= gamma.v[k];
        h.v[k] = (h.v[k] - mean) * inverse;
      }
    };
    Numbers<kCount> g, h;
    double sum = 0.0, products = 0.0;
    threads.for_each_run<kCount>(rows.channels, [&](int c) {
      load_both(c, g, h);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        const auto wide = static_cast<double>(g.v[k]);
        sum += wide;
        products = fma(wide, static_cast<double>(h.v[k]), products);
      }
    });
    const auto channels = static_cast<double>(rows.channels);
    const auto share = static_cast<float>(threads.sum(sum) / channels);
    const auto product_share = static_cast<float>(threads.sum(products) / channels);
    threads.for_each_run<kCount>(rows.channels, [&](int c) {
      load_both(c, g, h);
#pragma unroll
      for (int k = 0; k < kCount; ++k) {
        g.v[k] = (g.v[k] - fmaf(h.v[k], product_share, share)) * inverse;
      }
      put_numbers(a.to + start + c, g, a.accumulate);
    });
  });
}

}  // namespace

void run_layer_norm(const TrainingCall& call, const NormMemory& memory) {
  const TrainingValue& x = *call.x.value;
  const LayerNorm a = {call.x.data,       nullptr,       call.y.data, memory.gamma, memory.beta,
                       memory.statistics, call.step.eps, false};
  const bool fours = comes_in_fours(x.c, {a.x, a.to, a.gamma, a.beta});
  const Rows rows = plan_rows(call.images * x.pixels(), x.c, fours);
  const auto kernel = fours ? layer_norm_kernel<4> : layer_norm_kernel<1>;
  kernel<<<rows.grid(), kBlockThreads, 0, call.stream>>>(rows, a);
  FACEGEN_CUDA_CHECK_LAUNCH("a layer norm");
}

void run_layer_norm_gradient(const TrainingCall& call, const NormMemory& memory) {
  const TrainingValue& x = *call.x.value;
  if (memory.gamma_gradient != nullptr) {
    const RowWalk walk =
        plan_column_sums(1, call.images * x.pixels(), x.c, vector_of(x.c, {&x, call.dy.value}));
    column_sums(walk, GradientSums{call.x.data, call.dy.data, memory.statistics},
                WriteGradients{memory.beta_gradient, memory.gamma_gradient},
                reinterpret_cast<double*>(call.scratch), call.arrivals, call.stream);
  }
  if (call.dx.data == nullptr) return;
  const LayerNorm a = {call.x.data,       call.dy.data, call.dx.data, memory.gamma, nullptr,
                       memory.statistics, 0.0f,         call.step.accumulate};
  const bool fours = comes_in_fours(x.c, {a.x, a.dy, a.to, a.gamma});
  const Rows rows = plan_rows(call.images * x.pixels(), x.c, fours);
  const auto kernel = fours ? layer_norm_gradient_kernel<4> : layer_norm_gradient_kernel<1>;
  kernel<<<rows.grid(), kBlockThreads, 0, call.stream>>>(rows, a);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a layer norm");
}

}  // namespace facegen::cuda
