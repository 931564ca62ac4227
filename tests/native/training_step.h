// Steps of training programs that tests write by hand.
#pragma once

#include <cstdint>

#include "training_program.h"

namespace facegen::test {

inline TrainingStep step_of(TrainingOp op, int32_t x, int32_t y) {
  TrainingStep step = {};
  step.op = op;
  step.x = x;
  step.y = y;
  return step;
}

}  // namespace facegen::test
