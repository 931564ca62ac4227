// Sums of pixels: the gradient of a bias, and means of maps.
#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"

namespace facegen::cuda {
namespace {

struct OwnSums {
  const float* x;
  int32_t channels;
  __device__ void operator()(int64_t, int64_t row, int channel, double (&sum)[1]) const {
    sum[0] += static_cast<double>(x[row * channels + channel]);
  }
};

}  // namespace

void run_bias_gradient(const TrainingCall& call, float* gradient) {
  const TrainingValue& dy = *call.dy.value;
  const ColumnSums plan = plan_column_sums(1, call.images * dy.pixels(), dy.c);
  write_means(column_sums<1>(plan, OwnSums{call.dy.data, dy.c}, call.scratch, call.stream).sums, 1.0,
              gradient, dy.c, false, call.stream);
}

void run_global_avg_pool(const TrainingCall& call) {
  const TrainingValue& x = *call.x.value;
  const ColumnSums plan = plan_column_sums(call.images, x.pixels(), x.c);
  write_means(column_sums<1>(plan, OwnSums{call.x.data, x.c}, call.scratch, call.stream).sums,
              static_cast<double>(x.pixels()), call.y.data, call.images * x.c, false, call.stream);
}

}  // namespace facegen::cuda
