#include "optimizer_numbers.h"

#include <cmath>

#include "training_program.h"

namespace facegen {

OptimizerConstants constants_of(const TrainingStep& update) {
  const bool adamw = update.optimizer == OptimizerKind::kAdamW;
  return {adamw ? 0.0f : static_cast<float>(update.weight_decay),
          update.momentum,
          update.nesterov,
          static_cast<float>(1.0 - update.beta1),
          static_cast<float>(update.beta2),
          static_cast<float>(1.0 - update.beta2),
          update.eps};
}

OptimizerNumbers numbers_of(const TrainingStep& update, const double* rates, uint64_t step) {
  const auto one_of = [&](int32_t group) { return rates == nullptr ? 0.0 : rates[group]; };
  const double rate = one_of(update.rate_group);
  const double number = static_cast<double>(step) + 1.0;
  const double correction1 = 1.0 - std::pow(update.beta1, number);
  const double correction2 = 1.0 - std::pow(update.beta2, number);
  const bool adamw = update.optimizer == OptimizerKind::kAdamW;
  return {static_cast<float>(rate), static_cast<float>(rate / correction1),
          static_cast<float>(std::sqrt(correction2)),
          adamw ? static_cast<float>(1.0 - rate * update.weight_decay) : 1.0f, step == 0,
          static_cast<float>(1.0 - one_of(update.decay_group))};
}

}  // namespace facegen
