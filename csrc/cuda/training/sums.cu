// Sums of pixels: the gradient of a bias, and means of maps.
#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"

namespace facegen::cuda {
namespace {

struct OwnSums {
  static constexpr int kSums = 1, kMaps = 1, kTogether = 4, kBlocks = 4;
  const float* maps[kMaps];

  template <int kVector>
  struct Lane : MapsLane<OwnSums, kVector> {
    using MapsLane<OwnSums, kVector>::MapsLane;
    __device__ void add(const Numbers<kVector> (&v)[1], double (&sum)[1][kVector]) const {
#pragma unroll
      for (int e = 0; e < kVector; ++e) sum[0][e] += static_cast<double>(v[0].v[e]);
    }
  };
};

void find_means(const TrainingCall& call, const TrainingMap& of, int64_t segments, int64_t rows, double divisor,
                float* to) {
  const int channels = of.value->c;
  column_sums(plan_column_sums(segments, rows, channels, vector_of(channels, {of.value})), OwnSums{{of.data}},
              WriteMean{to, channels, divisor, false}, reinterpret_cast<double*>(call.scratch), call.arrivals,
              call.stream);
}

}  // namespace

void run_bias_gradient(const TrainingCall& call, float* gradient) {
  find_means(call, call.dy, 1, call.images * call.dy.value->pixels(), 1.0, gradient);
}

void run_global_avg_pool(const TrainingCall& call) {
  const int64_t pixels = call.x.value->pixels();
  find_means(call, call.x, call.images, pixels, static_cast<double>(pixels), call.y.data);
}

}  // namespace facegen::cuda
