// Who waits for steps that run beside the others: whoever writes where they still read, and nobody else.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "check.h"
#include "cuda/fit/aside_plan.h"

using namespace facegen;
using namespace facegen::cuda;

namespace {

// A value of so many floats of the arena, or one that is given.
TrainingValue value_at(int64_t offset, int32_t floats, ValueKind kind = ValueKind::kArena) {
  return {kind, 0, 1, 1, floats, offset};
}

TrainingStep step_of(TrainingOp op) {
  TrainingStep step = {};
  step.op = op;
  return step;
}

TrainingStep gradient(TrainingOp op, int32_t x, int32_t dy) {
  TrainingStep step = step_of(op);
  step.x = x;
  step.dy = dy;
  return step;
}

TrainingStep writer(int32_t y) {
  TrainingStep step = step_of(TrainingOp::kGemm);
  step.y = y;
  return step;
}

}  // namespace

int main() {
  TrainingProgram program;
  program.values = {value_at(0, 8, ValueKind::kInput), value_at(0, 10), value_at(10, 5), value_at(15, 5),
                    value_at(14, 1),                   value_at(9, 1)};
  TrainingStep activation = step_of(TrainingOp::kActivateGradient);
  activation.y = 1;  // which it reads
  activation.dy = 3;
  activation.dx = 3;
  TrainingStep norm = step_of(TrainingOp::kInstanceNorm);
  norm.y = 3;
  norm.statistics = 4;
  TrainingStep end = step_of(TrainingOp::kBatchNormGradient);  // of what is trained alone
  end.y = 1;
  end.dy = 2;
  program.steps = {
      gradient(TrainingOp::kWeightGradient, 1, 2),  // 0: reads 0 to 15
      gradient(TrainingOp::kBiasGradient, -1, 2),   // 1: reads 10 to 15
      gradient(TrainingOp::kWeightGradient, 0, 3),  // 2: an input, and 15 to 20
      writer(3),                                    // 3: writes 15 to 20
      writer(5),                                    // 4: writes 9 to 10
      activation,                                   // 5: writes 15 to 20
      norm,                                         // 6: writes 14 to 20
      end,                                          // 7: writes nothing
      gradient(TrainingOp::kWeightGradient, 0, 0),  // 8: reads nothing of the arena
  };
  const AsidePlan plan(program);
  for (const std::size_t step : {0, 1, 2}) CHECK(plan.can(step));
  for (const std::size_t step : {3, 4, 5, 6, 7, 8}) CHECK(!plan.can(step));
  const std::vector<std::size_t> none, first = {0}, two = {0, 1}, all = {0, 1, 2};
  for (std::size_t step = 3; step < 8; ++step) CHECK(plan.must_end(step, none) == 0);
  CHECK(plan.must_end(3, two) == 0);  // ranges that touch
  CHECK(plan.must_end(3, all) == 3);
  CHECK(plan.must_end(4, all) == 1);  // the bias's gradient does not read there
  CHECK(plan.must_end(5, first) == 0);
  CHECK(plan.must_end(5, all) == 3);
  CHECK(plan.must_end(6, two) == 2);  // its statistics
  CHECK(plan.must_end(7, all) == 0);
  return 0;
}
