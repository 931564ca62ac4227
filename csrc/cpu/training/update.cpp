// What a TrainingExecutable does with gradients: their length, and the optimizer's step along them.
#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cpu/training/executable.h"
#include "cpu/training/tree.h"
#include "divide_up.h"
#include "threads.h"
#include "weight_rounding.h"

namespace facegen::cpu {
namespace {

// Of a task of the optimizer, and of a chunk of the gradient's sum of squares.
constexpr int64_t kTaskFloats = 16 << 10;
static_assert(kTaskFloats % kDrawBlock == 0);

}  // namespace

void TrainingExecutable::update(const TrainingStep& s, const Batch& batch, double gradient_scale) {
  const auto some = [&](int32_t index) { return index < 0 ? nullptr : array(index); };
  const OptimizerRow all = {constants_of(s),
                            numbers_of(s, batch.rates.data(), batch.step),
                            array(s.weight),
                            gradient_of(s.weight),
                            some(s.first_moment),
                            some(s.second_moment),
                            0,
                            static_cast<float>(gradient_scale)};
  const int64_t floats = program_.arrays[static_cast<std::size_t>(s.weight)].floats;
  const auto function = s.optimizer == OptimizerKind::kSgd ? training_.sgd : training_.adam;
  float* const average = some(s.average);
  const PhiloxKey key = philox_key(batch.seed, kFirstWeightStream + static_cast<uint32_t>(s.stream));
  parallel_for(divide_up(floats, kTaskFloats), batch.threads, [&](int64_t part, int) {
    const int64_t first = part * kTaskFloats;
    OptimizerRow row = all;
    for (float** p : {&row.parameter, &row.first, &row.second}) {
      if (*p != nullptr) *p += first;
    }
    row.gradient += first;
    row.count = std::min(kTaskFloats, floats - first);
    function(row);
    if (s.rounding != WeightRounding::kNone) {
      training_.round_weights({row.parameter, first, row.count, key, batch.step,
                               s.rounding == WeightRounding::kStochastic});
    }
    if (average != nullptr) {
      training_.move_average({row.parameter, average + first, row.count, row.average_rest});
    }
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
