// Batch, instance and group norms in training, and their gradients: see steps.py for the formulas.
//
// A batch norm has one segment, all pixels of the batch; an instance norm a segment an image. Statistics of
// a segment lie at (segment, 3 or 2, channels): mean, 1 / deviation and, of a batch norm, the variance.
#include "cuda/runtime/error.h"
#include "cuda/training/activation_gradient.cuh"
#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"

namespace facegen::cuda {
namespace {

__device__ inline float inverse_deviation(double variance, float eps) {
  return static_cast<float>(1.0 / sqrt(variance + static_cast<double>(eps)));
}

// Sums of x - x0 and of its square, x0 the segment's first: a mean far from 0 costs no digits.
struct Moments {
  const float* x;
  int64_t rows;  // of a segment
  int32_t channels;
  __device__ void operator()(int64_t segment, int64_t row, int channel, double (&sum)[2]) const {
    const double v = static_cast<double>(x[row * channels + channel]) -
                     static_cast<double>(x[segment * rows * channels + channel]);
    sum[0] += v;
    sum[1] = fma(v, v, sum[1]);
  }
};

struct Statistics {
  const float* x;
  int64_t rows;
  int32_t channels, groups;
  float eps;
  const double* sums;  // (segment, 2, channels), of Moments
  float* to;
  int32_t planes;  // 3: with the variance
};

// A thread a segment and group: the moments of a group's channels are joined (Chan, Golub, LeVeque 1983).
__global__ void __launch_bounds__(kBlock)
    statistics_kernel(const __grid_constant__ Statistics s, int64_t segments) {
  const int members = s.channels / s.groups;
  for_each_number(segments * s.groups, [&](int64_t i) {
    const int64_t segment = i / s.groups;
    const int first = static_cast<int>(i % s.groups) * members;
    const double* const sum = s.sums + segment * 2 * s.channels;
    const auto rows = static_cast<double>(s.rows);
    double mean = 0.0, squares = 0.0, count = 0.0;
    for (int c = first; c < first + members; ++c) {
      const double shift = sum[c] / rows;
      const double own = static_cast<double>(s.x[segment * s.rows * s.channels + c]) + shift;
      const double all = count + rows, difference = own - mean;
      mean += difference * rows / all;
      squares += fmax(0.0, sum[s.channels + c] - sum[c] * shift) + difference * difference * count * rows / all;
      count = all;
    }
    // A NaN is no larger than 0, but must be seen.
    const double variance = squares / count + (mean - mean);
    float* const to = s.to + segment * s.planes * s.channels;
    for (int c = first; c < first + members; ++c) {
      to[c] = static_cast<float>(mean);
      to[s.channels + c] = inverse_deviation(variance, s.eps);
      if (s.planes == 3) to[2 * s.channels + c] = static_cast<float>(variance);
    }
  });
}

__global__ void __launch_bounds__(kBlock)
    stored_statistics_kernel(const float* mean, const float* var, float eps, int channels, float* to) {
  for_each_number(channels, [&](int64_t c) {
    to[c] = mean[c];
    to[channels + c] = inverse_deviation(static_cast<double>(var[c]), eps);
    to[2 * channels + c] = var[c];
  });
}

// What normalises, forwards and backwards, number by number.
struct Norm {
  const float *x, *y, *dy;
  const float *statistics, *gamma, *beta;
  int64_t rows;  // of a segment
  int32_t channels, planes;
  Activation activation;
  float alpha, limit;

  __device__ const float* mean(int64_t segment) const {
    return statistics + segment * planes * channels;
  }
};

__global__ void __launch_bounds__(kBlock)
    normalise_kernel(const __grid_constant__ Norm n, float* y, int64_t count) {
  for_each_number(count, [&](int64_t i) {
    const int64_t row = i / n.channels;
    const int c = static_cast<int>(i - row * n.channels);
    const float* const mean = n.mean(row / n.rows);
    const float h = fmaf(n.x[i] - mean[c], n.gamma[c] * mean[n.channels + c], n.beta[c]);
    y[i] = activate_one(h, n.activation, n.alpha, n.limit);
  });
}

// Sums of g and of g h: see BatchNormGradient in steps.py.
struct GradientSums {
  Norm n;
  __device__ void operator()(int64_t segment, int64_t row, int channel, double (&sum)[2]) const {
    const int64_t i = row * n.channels + channel;
    const float* const mean = n.mean(segment);
    const float g = activation_gradient(n.activation, n.alpha, n.limit, n.y[i], n.dy[i]);
    const float h = (n.x[i] - mean[channel]) * mean[n.channels + channel];
    sum[0] += static_cast<double>(g);
    sum[1] = fma(static_cast<double>(g), static_cast<double>(h), sum[1]);
  }
};

// shares (segment, 3, channels): gamma / deviation, and the means of both sums, times gamma, over the pixels
// of a group, over the deviation; without these two where statistics are `stored`.
__global__ void __launch_bounds__(kBlock)
    shares_kernel(const __grid_constant__ Norm n, const double* sums, int groups, bool stored, float* shares,
                  int64_t segments) {
  const int members = n.channels / groups;
  for_each_number(segments * groups, [&](int64_t i) {
    const int64_t segment = i / groups;
    const int first = static_cast<int>(i % groups) * members;
    const double* const sum = sums + segment * 2 * n.channels;
    const float* const inverse = n.mean(segment) + n.channels;
    float* const to = shares + segment * 3 * n.channels;
    double of_g = 0.0, of_product = 0.0;
    for (int c = first; c < first + members; ++c) {
      of_g += static_cast<double>(n.gamma[c]) * sum[c];
      of_product += static_cast<double>(n.gamma[c]) * sum[n.channels + c];
    }
    const double numbers = static_cast<double>(n.rows) * members;
    for (int c = first; c < first + members; ++c) {
      const double share = stored ? 0.0 : static_cast<double>(inverse[c]) / numbers;
      to[c] = n.gamma[c] * inverse[c];
      to[n.channels + c] = static_cast<float>(of_g * share);
      to[2 * n.channels + c] = static_cast<float>(of_product * share);
    }
  });
}

__global__ void __launch_bounds__(kBlock)
    norm_gradient_kernel(const __grid_constant__ Norm n, const float* shares, float* dx, bool accumulate,
                         int64_t count) {
  for_each_number(count, [&](int64_t i) {
    const int64_t row = i / n.channels, segment = row / n.rows;
    const int c = static_cast<int>(i - row * n.channels);
    const float* const mean = n.mean(segment);
    const float* const share = shares + segment * 3 * n.channels;
    const float g = activation_gradient(n.activation, n.alpha, n.limit, n.y[i], n.dy[i]);
    const float h = (n.x[i] - mean[c]) * mean[n.channels + c];
    const float both = fmaf(h, share[2 * n.channels + c], share[n.channels + c]);
    put(dx[i], fmaf(g, share[c], -both), accumulate);
  });
}

__global__ void __launch_bounds__(kBlock)
    write_gradients_kernel(const double* sums, int channels, float* beta, float* gamma) {
  for_each_number(channels, [&](int64_t c) {
    beta[c] = static_cast<float>(sums[c]);
    gamma[c] = static_cast<float>(sums[channels + c]);
  });
}

__global__ void __launch_bounds__(kBlock)
    update_statistics_kernel(float* mean, float* var, const float* statistics, int channels,
                             double momentum, double unbiased, const StepState* state) {
  if (!state->finite) return;
  for_each_number(channels, [&](int64_t c) {
    const auto move = [momentum](float& stored, double to) {
      stored = static_cast<float>((1.0 - momentum) * static_cast<double>(stored) + momentum * to);
    };
    move(mean[c], static_cast<double>(statistics[c]));
    move(var[c], unbiased * static_cast<double>(statistics[2 * channels + c]));
  });
}

Norm make_norm(const TrainingCall& call, const NormMemory& memory, int64_t rows, int planes) {
  const TrainingStep& s = call.step;
  return {call.x.data, call.y.data, call.dy.data, memory.statistics, memory.gamma, memory.beta, rows,
          call.x.value->c, planes, s.activation, s.alpha, s.limit};
}

void find_statistics(const TrainingCall& call, float* to, int64_t segments, int64_t rows, int groups,
                     int planes) {
  const int channels = call.x.value->c;
  const Totals totals = column_sums<2>(plan_column_sums(segments, rows, channels),
                                       Moments{call.x.data, rows, channels}, call.scratch, call.stream);
  const Statistics s = {call.x.data, rows, channels, groups, call.step.eps, totals.sums, to, planes};
  statistics_kernel<<<grid_of(segments * groups), kBlock, 0, call.stream>>>(s, segments);
  FACEGEN_CUDA_CHECK_LAUNCH("statistics");
}

void normalise(const TrainingCall& call, const Norm& norm) {
  const int64_t count = call.images * call.x.value->floats();
  normalise_kernel<<<grid_of(count), kBlock, 0, call.stream>>>(norm, call.y.data, count);
  FACEGEN_CUDA_CHECK_LAUNCH("a norm");
}

void find_gradient(const TrainingCall& call, const NormMemory& memory, const Norm& norm, int64_t segments,
                   int groups) {
  const int channels = norm.channels;
  Totals totals = column_sums<2>(plan_column_sums(segments, norm.rows, channels), GradientSums{norm},
                                 call.scratch, call.stream);
  if (memory.gamma_gradient != nullptr) {
    const double* sums = totals.sums;
    if (segments > 1) {
      add_splits(sums, totals.free, 1, static_cast<int>(segments), 2 * channels, call.stream);
      sums = totals.free;
    }
    write_gradients_kernel<<<grid_of(channels), kBlock, 0, call.stream>>>(
        sums, channels, memory.beta_gradient, memory.gamma_gradient);
    FACEGEN_CUDA_CHECK_LAUNCH("a norm's gradients");
  }
  if (call.dx.data == nullptr) return;
  auto* const shares = reinterpret_cast<float*>(totals.free);
  shares_kernel<<<grid_of(segments * groups), kBlock, 0, call.stream>>>(
      norm, totals.sums, groups, call.step.stored, shares, segments);
  FACEGEN_CUDA_CHECK_LAUNCH("shares of a norm's gradient");
  const int64_t count = call.images * call.x.value->floats();
  norm_gradient_kernel<<<grid_of(count), kBlock, 0, call.stream>>>(norm, shares, call.dx.data,
                                                                   call.step.accumulate, count);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a norm");
}

}  // namespace

void run_batch_norm(const TrainingCall& call, const NormMemory& memory) {
  const int channels = call.x.value->c;
  const int64_t rows = call.images * call.x.value->pixels();
  if (call.step.stored) {
    stored_statistics_kernel<<<grid_of(channels), kBlock, 0, call.stream>>>(
        memory.mean, memory.var, call.step.eps, channels, memory.statistics);
    FACEGEN_CUDA_CHECK_LAUNCH("stored statistics");
  } else {
    find_statistics(call, memory.statistics, 1, rows, channels, 3);
  }
  normalise(call, make_norm(call, memory, rows, 3));
}

void run_batch_norm_gradient(const TrainingCall& call, const NormMemory& memory) {
  const int64_t rows = call.images * call.x.value->pixels();
  find_gradient(call, memory, make_norm(call, memory, rows, 3), 1, call.x.value->c);
}

void run_instance_norm(const TrainingCall& call, const NormMemory& memory) {
  const int64_t rows = call.x.value->pixels();
  find_statistics(call, memory.statistics, call.images, rows, call.step.groups, 2);
  normalise(call, make_norm(call, memory, rows, 2));
}

void run_instance_norm_gradient(const TrainingCall& call, const NormMemory& memory) {
  const Norm norm = make_norm(call, memory, call.x.value->pixels(), 2);
  find_gradient(call, memory, norm, call.images, call.step.groups);
}

void run_update_statistics(const TrainingCall& call, const NormMemory& memory, const StepState* state) {
  const int channels = call.x.value->c;
  const auto pixels = static_cast<double>(call.images * call.x.value->pixels());
  const double unbiased = pixels / (pixels > 1.0 ? pixels - 1.0 : 1.0);
  update_statistics_kernel<<<grid_of(channels), kBlock, 0, call.stream>>>(
      memory.mean, memory.var, memory.statistics, channels, static_cast<double>(call.step.momentum),
      unbiased, state);
  FACEGEN_CUDA_CHECK_LAUNCH("running statistics");
}

}  // namespace facegen::cuda
