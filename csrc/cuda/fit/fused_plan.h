// Which steps of a training program others do on the way: a pure function of the program.
//
// The gradient of a concatenation is copied to the gradients of what was concatenated, some channels each. Where
// that is the output of a ramp, and that of a layer with a bias, two more steps read and write what the copy has
// written: its product with the ramp's slope, in place, and its sum over pixels. The copy does both. So is the
// gradient of a max pool summed where it is made.
#pragma once

#include <cstddef>
#include <map>
#include <set>

#include "training_program.h"

namespace facegen::cuda {

struct FusedPlan {
  // By the copy: the step that multiplies what it has made by a ramp's slope. By that copy, or a pool: the gradient
  // of a bias that sums what it has made.
  std::map<std::size_t, std::size_t> gates, sums;
  std::set<std::size_t> done;  // the steps of both
};
FusedPlan plan_fused(const TrainingProgram& program);

// Whether two values share memory: a value by another name, such as a reshaped one, or one that lives when the
// other no longer does. Below 0 is none.
bool overlap(const TrainingProgram& program, int32_t one, int32_t other);

// Whether a copy writes some channels alone.
bool is_part(const TrainingStep& step, const TrainingProgram& program);

}  // namespace facegen::cuda
