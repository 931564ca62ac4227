// Weighted sums of rows and columns, and their gradients: a thread a number of the map that is written, or
// four neighbouring channels, whose terms it adds in their order.
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {
namespace {

struct Resample {
  const float* from;
  float* to;
  int32_t from_h, from_w, to_h, to_w, channels;
  DeviceTaps rows, columns;
  bool accumulate;
};

__device__ inline int first_term(const DeviceTaps& taps, int o) {
  return taps.start == nullptr ? o * taps.taps : taps.start[o];
}

template <int kVector>
__global__ void __launch_bounds__(kBlockThreads)
    resample_kernel(const __grid_constant__ Resample r, int64_t count) {
  const int lanes = r.channels / kVector;
  for_each_number(count, [&](int64_t i) {
    const int64_t pixel = quotient(i, lanes), row = quotient(pixel, r.to_w), image = quotient(row, r.to_h);
    const int y = static_cast<int>(row - image * r.to_h), x = static_cast<int>(pixel - row * r.to_w);
    const float* const from =
        r.from + image * r.from_h * r.from_w * r.channels + (i - pixel * lanes) * kVector;
    float* const to = r.to + i * kVector;
    Numbers<kVector> sum = {};
    if (r.accumulate) sum = load_numbers<kVector>(to);
    for (int ty = first_term(r.rows, y); ty < first_term(r.rows, y + 1); ++ty) {
      const int from_y = r.rows.positions[ty];
      if (from_y < 0) continue;
      for (int tx = first_term(r.columns, x); tx < first_term(r.columns, x + 1); ++tx) {
        const int from_x = r.columns.positions[tx];
        if (from_x < 0) continue;
        const float weight = r.rows.weights[ty] * r.columns.weights[tx];
        const Numbers<kVector> term =
            load_numbers<kVector>(from + (int64_t{from_y} * r.from_w + from_x) * r.channels);
#pragma unroll
        for (int e = 0; e < kVector; ++e) sum.v[e] = fmaf(weight, term.v[e], sum.v[e]);
      }
    }
    store_numbers(to, sum);
  });
}

}  // namespace

void run_resample(const TrainingCall& call, const DeviceTaps& rows, const DeviceTaps& columns) {
  const bool forward = call.step.op == TrainingOp::kResample;
  const TrainingMap &from = forward ? call.x : call.dy, &to = forward ? call.y : call.dx;
  const Resample r = {from.data,      to.data,        from.value->h, from.value->w,
                      to.value->h,    to.value->w,    to.value->c,   rows,
                      columns,        !forward && call.step.accumulate};
  const int vector = comes_in_fours(r.channels, {r.from, r.to}) ? 4 : 1;
  const int64_t count = call.images * to.value->floats() / vector;
  const auto kernel = vector == 4 ? resample_kernel<4> : resample_kernel<1>;
  kernel<<<grid_of(count), kBlockThreads, 0, call.stream>>>(r, count);
  FACEGEN_CUDA_CHECK_LAUNCH("a resampling");
}

}  // namespace facegen::cuda
