#include <algorithm>
#include <cmath>

#include "cpu/memory.h"
#include "cpu/training/norms.h"
#include "cpu/training/tree.h"
#include "threads.h"

namespace facegen::cpu {

void layer_norm(const TrainingStepCall& call, const NormArrays& arrays) {
  const TrainingValue& x = *call.x.value;
  const auto channels = static_cast<double>(x.c);
  parallel_for(call.images * x.h, call.threads, [&](int64_t line, int) {
    for (int64_t p = line * x.w; p < (line + 1) * x.w; ++p) {
      const float* const in = call.x.data + p * x.c;
      float* const out = call.y.data + p * x.c;
      float* const statistics = arrays.statistics + 2 * p;
      double sum = 0.0, squares = 0.0;
      call.kernels.row_moments(in, x.c, &sum, &squares);
      const double mean = sum / channels;  // of x - x0
      const double variance = std::max(0.0, squares / channels - mean * mean);
      statistics[0] = static_cast<float>(static_cast<double>(in[0]) + mean);
      statistics[1] =
          static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(call.step.eps)));
      call.kernels.centre_and_multiply(in, statistics[0], statistics[1], arrays.gamma, out, x.c);
      call.training.add(arrays.beta, out, x.c);
    }
  });
}

void layer_norm_gradient(const TrainingStepCall& call, const NormArrays& arrays) {
  static thread_local Scratch scratch;
  const TrainingValue& x = *call.x.value;
  const Chunks chunks = {call.images};
  double* const sums = scratch.get<double>(chunks.count() * 2 * x.c);
  parallel_for(chunks.count(), call.threads, [&](int64_t chunk, int) {
    double* const sum = sums + chunk * 2 * x.c;
    std::fill_n(sum, 2 * x.c, 0.0);
    for (int64_t p = chunks.first(chunk) * x.pixels(); p < chunks.last(chunk) * x.pixels(); ++p) {
      const float* const statistics = arrays.statistics + 2 * p;
      const LayerNormGradientRow row = {
          call.x.data + p * x.c, call.dy.data + p * x.c, arrays.gamma, statistics[0], statistics[1],
          x.c, call.dx.data == nullptr ? nullptr : call.dx.data + p * x.c, call.step.accumulate};
      if (call.step.trained) call.training.layer_norm_sums(row, sum, sum + x.c);
      if (row.dx != nullptr) call.training.layer_norm_gradient(row);
    }
  });
  if (!call.step.trained) return;
  add_in_pairs(sums, chunks.count(), 2 * x.c);
  std::copy_n(sums, x.c, arrays.beta_gradient);
  std::copy_n(sums + x.c, x.c, arrays.gamma_gradient);
}

}  // namespace facegen::cpu
