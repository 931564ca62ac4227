// Which steps of a training program others do on the way, and which copies make an operand together.
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "check.h"
#include "cuda/fit/fused_plan.h"
#include "cuda/fit/operand_plan.h"
#include "cuda/fit/pool_plan.h"
#include "training_step.h"

using namespace facegen;
using namespace facegen::cuda;
using namespace facegen::cuda::hopper;
using facegen::test::step_of;

namespace {

constexpr int32_t kSide = 16, kHalf = 64;
constexpr int64_t kImages = 8;

enum Value : int32_t {
  kInput,
  kLeft,
  kRight,
  kBoth,
  kEnd,
  kEndGradient,
  kBothGradient,
  kLeftGradient,
  kRightGradient,
  kValues
};

TrainingStep gemm(int32_t x, int32_t y, int32_t weight, bool transposed) {
  TrainingStep step = step_of(TrainingOp::kGemm, x, y);
  const Axis axis = {kSide, 1, 1, 0, 1, 0, 1, 0, 1};
  step.phases = {{axis, axis}};
  step.kernel_h = step.kernel_w = 1;
  step.weight = weight;
  step.transposed = transposed;
  return step;
}

TrainingStep weight_gradient(int32_t x, int32_t dy, int32_t weight) {
  TrainingStep step = gemm(x, -1, weight, false);
  step.op = TrainingOp::kWeightGradient;
  step.dy = dy;
  return step;
}

TrainingStep bias_gradient(int32_t dy) {
  TrainingStep step = step_of(TrainingOp::kBiasGradient, -1, -1);
  step.dy = dy;
  step.bias = 0;
  return step;
}

TrainingStep copy(int32_t x, int32_t first_x, int32_t y, int32_t first_y) {
  TrainingStep step = step_of(TrainingOp::kCopy, x, y);
  step.channels = kHalf;
  step.first_x = first_x;
  step.first_y = first_y;
  return step;
}

TrainingStep relu_gradient(int32_t of, int32_t gradient) {
  TrainingStep step = step_of(TrainingOp::kActivateGradient, -1, of);
  step.activation = Activation::kRelu;
  step.dy = step.dx = gradient;
  return step;
}

// Two layers side by side whose outputs are concatenated for a third, forwards and backwards.
TrainingProgram concatenation() {
  TrainingProgram program;
  int64_t offset = 0;
  for (int32_t i = 0; i < kValues; ++i) {
    const int32_t channels = i == kBoth || i == kBothGradient ? 2 * kHalf : kHalf;
    program.values.push_back({i == kInput ? ValueKind::kInput : ValueKind::kArena, 0, kSide, kSide, channels, offset});
    if (i != kInput) offset += int64_t{kSide} * kSide * channels;
  }
  for (const char* name : {"left", "right", "end"}) program.arrays.push_back({name, nullptr, 2 * kHalf * kHalf});
  TrainingStep loss = step_of(TrainingOp::kLoss, kEnd, -1);
  loss.dx = kEndGradient;
  program.steps = {
      gemm(kInput, kLeft, 0, false),                    // 0
      gemm(kInput, kRight, 1, false),                   // 1
      copy(kLeft, 0, kBoth, 0),                         // 2
      copy(kRight, 0, kBoth, kHalf),                    // 3
      gemm(kBoth, kEnd, 2, false),                      // 4
      loss,                                             // 5
      weight_gradient(kBoth, kEndGradient, 2),          // 6
      gemm(kEndGradient, kBothGradient, 2, true),       // 7
      copy(kBothGradient, 0, kLeftGradient, 0),         // 8
      copy(kBothGradient, kHalf, kRightGradient, 0),    // 9
      relu_gradient(kRight, kRightGradient),            // 10
      weight_gradient(kInput, kRightGradient, 1),       // 11
      bias_gradient(kRightGradient),                    // 12
      relu_gradient(kLeft, kLeftGradient),              // 13
      weight_gradient(kInput, kLeftGradient, 0),        // 14
      bias_gradient(kLeftGradient),                     // 15
  };
  program.forward_steps = 6;
  program.backward_steps = 10;
  return program;
}

OperandPlan plan(const TrainingProgram& program, OperandFormat format = OperandFormat::kSplit) {
  return plan_operands(program, lower_products(program), kImages, format, true);
}

const OperandMap& map_of(const OperandPlan& plan, int32_t value) {
  for (const OperandMap& map : plan.maps) {
    if (map.value == value) return map;
  }
  CHECK(false);
  return plan.maps[0];
}

void test_gates_and_sums() {
  using Steps = std::map<std::size_t, std::size_t>;
  const FusedPlan made = plan_fused(concatenation());
  CHECK((made.gates == Steps{{8, 13}, {9, 10}}) && (made.sums == Steps{{8, 15}, {9, 12}}));
  CHECK((made.done == std::set<std::size_t>{10, 12, 13, 15}));
}

void test_copies_without() {
  TrainingProgram program = concatenation();
  // What a copy has made is read as it is, or the gradient of its bias is of something else.
  program.steps[10].activation = Activation::kTanh;
  program.steps[15].dy = kRightGradient;
  const FusedPlan made = plan_fused(program);
  CHECK(made.gates.size() == 1 && made.gates.at(8) == 13 && made.sums.empty());
  program = concatenation();
  program.steps[11] = weight_gradient(kInput, kLeftGradient, 1);
  CHECK(plan_fused(program).gates.count(8) == 0);
  // Copies that add or scale do nothing else.
  program = concatenation();
  program.steps[8].scale = 2.0f;
  program.steps[9].accumulate = true;
  CHECK(plan_fused(program).gates.empty());
  // The map of the ramp is another by then.
  program = concatenation();
  program.steps[11] = step_of(TrainingOp::kActivate, kInput, kLeft);
  CHECK(plan_fused(program).gates.count(8) == 0);
  // Channels that are no fours: the kernel that sums does not read them.
  program = concatenation();
  program.steps[9].first_x = kHalf - 1;
  CHECK(plan_fused(program).gates.count(9) == 1 && plan_fused(program).sums.count(9) == 0);
}

// The gradient of a max pool is summed where it is made, if its kernel sums four channels at a time.
void test_pools() {
  TrainingProgram program = concatenation();
  TrainingStep pool = step_of(TrainingOp::kMaxPoolGradient, kLeft, kRight);
  pool.dy = kRightGradient;
  pool.dx = kLeftGradient;
  pool.window.kernel_h = pool.window.kernel_w = 3;
  pool.window.stride_h = pool.window.stride_w = 2;
  program.steps[13] = pool;
  const FusedPlan made = plan_fused(program);
  CHECK(made.sums.at(13) == 15 && made.done.count(15) == 1 && made.gates.count(8) == 0);
  CHECK(map_of(plan(program), kLeftGradient).alone);
  CHECK(training_scratch_bytes(program, kImages) >=
        8 * pool_sum_doubles(pool.window, program.values[kLeft], kImages));
  // Of windows apart it does not read the pool's output, but that is an operand alone where nothing else does.
  program.steps[1].op = TrainingOp::kMaxPool;
  program.steps[1].x = kLeft;
  program.steps[3] = gemm(kRight, kEnd, 1, false);
  program.steps[10].y = kLeft;
  CHECK(map_of(plan(program), kRight).by_writer && !map_of(plan(program), kRight).alone);
  program.steps[13].window.kernel_h = program.steps[13].window.kernel_w = 2;
  CHECK(map_of(plan(program), kRight).alone);
  program.steps[13].window.stride_h = 1;
  CHECK(plan_fused(program).sums.count(13) == 0);
  CHECK(!map_of(plan(program), kLeftGradient).alone);
  program.steps[13] = pool;
  program.values[kLeft].offset += 2;
  CHECK(plan_fused(program).sums.count(13) == 0);
}

void test_operands() {
  const OperandPlan made = plan(concatenation());
  const OperandMap& both = map_of(made, kBoth);
  CHECK(both.by_writer && both.alone && both.first == 2 && both.last == 6);
  CHECK(made.made_by.at(2) == made.made_by.at(3) && &made.maps[made.made_by.at(2)] == &both);
  // A copy's gradient is what it is behind the ramp, which nothing but products reads.
  const OperandMap &left = map_of(made, kLeftGradient), &right = map_of(made, kRightGradient);
  CHECK(left.by_writer && left.alone && left.first == 8 && left.last == 14);
  CHECK(right.by_writer && right.alone && right.first == 9 && right.last == 11);
  for (const std::size_t step : {10, 12, 13, 15}) CHECK(made.is_done(step) && made.made_by.count(step) == 0);
  // Where another step sums the gradient, that reads it.
  TrainingProgram program = concatenation();
  program.steps[9].first_x = kHalf - 1;
  CHECK(!map_of(plan(program), kRightGradient).alone);
  CHECK(plan(concatenation(), OperandFormat::kFloat16).made_by.empty());
}

void test_parts() {
  // Two copies of the same channels, or too few channels, leave some as they were.
  TrainingProgram program = concatenation();
  program.steps[3].first_y = 0;
  CHECK(!map_of(plan(program), kBoth).by_writer);
  program = concatenation();
  program.steps[3].channels = kHalf / 2;
  CHECK(!map_of(plan(program), kBoth).by_writer);
  // As what adds to a part does.
  program = concatenation();
  program.steps[3].accumulate = true;
  CHECK(!map_of(plan(program), kBoth).by_writer);
  // In any order.
  program = concatenation();
  std::swap(program.steps[2], program.steps[3]);
  CHECK(map_of(plan(program), kBoth).by_writer);
  // Another step reads the concatenation.
  program = concatenation();
  program.steps[5].x = kBoth;
  CHECK(map_of(plan(program), kBoth).by_writer && !map_of(plan(program), kBoth).alone);
}

}  // namespace

int main() {
  test_gates_and_sums();
  test_copies_without();
  test_pools();
  test_operands();
  test_parts();
  return 0;
}
