// What a TrainingExecutable does with gradients: their length, and the optimizer's step along them.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cpu/training/executable.h"
#include "cpu/training/tree.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Of a task of the optimizer, and of a chunk of the gradient's sum of squares.
constexpr int64_t kTaskFloats = 16 << 10;

}  // namespace

void TrainingExecutable::update(const TrainingStep& s, const Batch& batch, double gradient_scale) {
  const double rate = batch.rates[static_cast<std::size_t>(s.rate_group)];
  const double step = static_cast<double>(batch.step) + 1.0;
  const double correction1 = 1.0 - std::pow(s.beta1, step);
  const double correction2 = 1.0 - std::pow(s.beta2, step);
  OptimizerRow all = {};
  all.parameter = array(s.weight);
  all.gradient = gradient_of(s.weight);
  all.first = s.first_moment < 0 ? nullptr : array(s.first_moment);
  all.second = s.second_moment < 0 ? nullptr : array(s.second_moment);
  all.average = s.average < 0 ? nullptr : array(s.average);
  all.gradient_scale = static_cast<float>(gradient_scale);
  all.weight_decay =
      s.optimizer == OptimizerKind::kAdamW ? 0.0f : static_cast<float>(s.weight_decay);
  all.rate = static_cast<float>(rate);
  all.momentum = s.momentum;
  all.nesterov = s.nesterov;
  all.starts = batch.step == 0;
  all.rest1 = static_cast<float>(1.0 - s.beta1);
  all.beta2 = static_cast<float>(s.beta2);
  all.rest2 = static_cast<float>(1.0 - s.beta2);
  all.step_size = static_cast<float>(rate / correction1);
  all.root_correction2 = static_cast<float>(std::sqrt(correction2));
  all.eps = s.eps;
  all.shrink = s.optimizer == OptimizerKind::kAdamW
                   ? static_cast<float>(1.0 - rate * s.weight_decay)
                   : 1.0f;
  all.average_rest = static_cast<float>(1.0 - s.average_decay);
  const int64_t floats = program_.arrays[static_cast<std::size_t>(s.weight)].floats;
  const auto function = s.optimizer == OptimizerKind::kSgd ? training_.sgd : training_.adam;
  parallel_for(divide_up(floats, kTaskFloats), batch.threads, [&](int64_t part, int) {
    const int64_t first = part * kTaskFloats;
    OptimizerRow row = all;
    for (float** p : {&row.parameter, &row.first, &row.second, &row.average}) {
      if (*p != nullptr) *p += first;
    }
    row.gradient += first;
    row.count = std::min(kTaskFloats, floats - first);
    function(row);
  });
}

// What lies between two arrays' gradients is zero, as is what no step writes.
double TrainingExecutable::gradient_length(int threads) const {
  static thread_local Scratch scratch;
  const int64_t parts = divide_up(gradient_floats_, kTaskFloats);
  double* const sums = scratch.get<double>(parts);
  parallel_for(parts, threads, [&](int64_t part, int) {
    const int64_t first = part * kTaskFloats;
    sums[part] = training_.sum_of_squares(gradients_.get() + first,
                                          std::min(kTaskFloats, gradient_floats_ - first));
  });
  add_in_pairs(sums, parts, 1);
  return parts > 0 ? std::sqrt(sums[0]) : 0.0;
}

}  // namespace facegen::cpu
