// Sums of pixels: the gradient of a bias, and means of maps.
#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"

namespace facegen::cuda {
namespace {

struct Numbers {
  const float* x;
  int32_t channels;
  __device__ void operator()(int64_t, int64_t row, int channel, double (&sum)[1]) const {
    sum[0] += static_cast<double>(x[row * channels + channel]);
  }
};

__global__ void __launch_bounds__(kBlock)
    divide_kernel(const double* sums, double divisor, float* to, int64_t count) {
  for_each_number(count, [&](int64_t i) { to[i] = static_cast<float>(sums[i] / divisor); });
}

void write(const Totals& totals, double divisor, float* to, int64_t count, cudaStream_t stream) {
  divide_kernel<<<grid_of(count), kBlock, 0, stream>>>(totals.sums, divisor, to, count);
  FACEGEN_CUDA_CHECK_LAUNCH("the end of a sum by channels");
}

}  // namespace

void run_bias_gradient(const TrainingCall& call, float* gradient) {
  const TrainingValue& dy = *call.dy.value;
  const ColumnSums plan = plan_column_sums(1, call.images * dy.pixels(), dy.c);
  write(column_sums<1>(plan, Numbers{call.dy.data, dy.c}, call.scratch, call.stream), 1.0, gradient,
        dy.c, call.stream);
}

void run_global_avg_pool(const TrainingCall& call) {
  const TrainingValue& x = *call.x.value;
  const ColumnSums plan = plan_column_sums(call.images, x.pixels(), x.c);
  write(column_sums<1>(plan, Numbers{call.x.data, x.c}, call.scratch, call.stream),
        static_cast<double>(x.pixels()), call.y.data, call.images * x.c, call.stream);
}

}  // namespace facegen::cuda
