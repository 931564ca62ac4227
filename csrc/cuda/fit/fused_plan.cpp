#include "cuda/fit/fused_plan.h"

#include "cuda/fit/pool_plan.h"
#include "cuda/fit/training_plan.h"

namespace facegen::cuda {
namespace {

const TrainingValue& at(const TrainingProgram& program, int32_t index) {
  return program.values[static_cast<std::size_t>(index)];
}

// All of y is some channels of x, as they are.
bool is_slice(const TrainingStep& s, const TrainingProgram& program) {
  return s.op == TrainingOp::kCopy && !s.accumulate && !s.zero_rest && s.scale == 1.0f && s.shift == 0.0f &&
         s.x != s.y && !is_part(s, program);
}

bool is_gate(const TrainingStep& s, int32_t of) {
  return s.op == TrainingOp::kActivateGradient && s.activation <= Activation::kLeakyRelu && !s.accumulate &&
         s.dy == of && s.dx == of && s.y != of;
}

// The first step behind `first` that reads or writes a value; `last`: none.
std::size_t find_use(const TrainingProgram& program, std::size_t first, std::size_t last, int32_t value) {
  for (std::size_t i = first + 1; i < last; ++i) {
    const TrainingStep& s = program.steps[i];
    for (const int32_t of : {s.x, s.other, s.y, s.dy, s.dx}) {
      if (overlap(program, of, value)) return i;
    }
  }
  return last;
}

// The gradient of a bias that sums a value before it changes.
std::size_t find_sum(const TrainingProgram& program, std::size_t first, std::size_t last, int32_t value) {
  for (std::size_t i = first + 1; i < last; ++i) {
    const TrainingStep& s = program.steps[i];
    if (s.op == TrainingOp::kBiasGradient && s.dy == value) return i;
    if (overlap(program, written_value(s), value)) break;
  }
  return last;
}

}  // namespace

bool overlap(const TrainingProgram& program, int32_t one, int32_t other) {
  if (one < 0 || other < 0) return false;
  const TrainingValue &a = at(program, one), &b = at(program, other);
  if (a.kind != ValueKind::kArena || b.kind != ValueKind::kArena) return one == other;
  return a.offset < b.offset + b.floats() && b.offset < a.offset + a.floats();
}

bool is_part(const TrainingStep& s, const TrainingProgram& program) {
  return s.op == TrainingOp::kCopy && !s.zero_rest && s.channels != at(program, s.y).c;
}

FusedPlan plan_fused(const TrainingProgram& program) {
  FusedPlan plan;
  const auto last = static_cast<std::size_t>(program.forward_steps + program.backward_steps);
  const auto add_sum = [&](std::size_t step, std::size_t behind, int32_t value) {
    const std::size_t sum = find_sum(program, behind, last, value);
    if (sum == last) return;
    plan.sums[step] = sum;
    plan.done.insert(sum);
  };
  for (std::size_t i = 0; i < last; ++i) {
    const TrainingStep& s = program.steps[i];
    if (s.op == TrainingOp::kMaxPoolGradient) {
      const TrainingValue &x = at(program, s.x), &dx = at(program, s.dx);
      const bool fours = vector_of(x.c, {&x, &dx, &at(program, s.y), &at(program, s.dy)}) == 4;
      if (fours && can_sum_pool(s.window, x)) add_sum(i, i, s.dx);
    }
    if (!is_slice(s, program)) continue;
    const std::size_t gate = find_use(program, i, last, s.y);
    if (gate == last || !is_gate(program.steps[gate], s.y)) continue;
    const int32_t map = program.steps[gate].y;
    bool changes = false;  // between the copy and the step that reads it
    for (std::size_t j = i; j < gate; ++j) changes = changes || overlap(program, written_value(program.steps[j]), map);
    if (changes) continue;
    plan.gates[i] = gate;
    plan.done.insert(gate);
    // The kernel that sums reads four channels at a time.
    const TrainingValue &x = at(program, s.x), &y = at(program, s.y);
    const bool fours = x.c % 4 == 0 && s.first_x % 4 == 0 && vector_of(y.c, {&x, &y, &at(program, map)}) == 4;
    if (fours) add_sum(i, gate, s.y);
  }
  return plan;
}

}  // namespace facegen::cuda
