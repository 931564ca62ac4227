// Which maps and weights of a training program become operands: by which step, until when, and where they lie.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "check.h"
#include "cuda/fit/operand_plan.h"
#include "training_step.h"

using namespace facegen;
using namespace facegen::cuda::hopper;
using facegen::test::step_of;

namespace {

constexpr int32_t kSide = 16, kChannels = 64, kTaps = 3;
constexpr int64_t kImages = 8;

// Values of one size; steps write all but the first.
enum Value : int32_t { kInput, kFirst, kActivated, kSecond, kSecondGradient, kActivatedGradient, kFirstGradient, kValues };

Phase same_size() {
  const Axis axis = {kSide, 1, 1, -1, kTaps, 0, 1, 0, 1};
  return {axis, axis};
}

TrainingStep gemm(int32_t x, int32_t y, int32_t weight, bool transposed) {
  TrainingStep step = step_of(TrainingOp::kGemm, x, y);
  step.phases = {same_size()};
  step.kernel_h = step.kernel_w = kTaps;
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

// Two convolutions with an activation between them, forwards and backwards; of the first one's input no gradient.
TrainingProgram two_layers() {
  TrainingProgram program;
  for (int32_t i = 0; i < kValues; ++i) {
    const ValueKind kind = i == kInput ? ValueKind::kInput : ValueKind::kArena;
    program.values.push_back({kind, 0, kSide, kSide, kChannels, int64_t{i} * kSide * kSide * kChannels});
  }
  for (const char* name : {"first", "second"}) {
    program.arrays.push_back({name, nullptr, int64_t{kChannels} * kTaps * kTaps * kChannels});
  }
  TrainingStep loss = step_of(TrainingOp::kLoss, kSecond, -1);
  loss.dx = kSecondGradient;
  TrainingStep back = step_of(TrainingOp::kActivateGradient, -1, kActivated);
  back.dy = kActivatedGradient;
  back.dx = kFirstGradient;
  program.steps = {
      gemm(kInput, kFirst, 0, false),                             // 0
      step_of(TrainingOp::kActivate, kFirst, kActivated),         // 1
      gemm(kActivated, kSecond, 1, false),                        // 2
      loss,                                                       // 3
      weight_gradient(kActivated, kSecondGradient, 1),            // 4
      gemm(kSecondGradient, kActivatedGradient, 1, true),         // 5
      back,                                                       // 6
      weight_gradient(kInput, kFirstGradient, 0),                 // 7
  };
  program.forward_steps = program.backward_steps = 4;
  return program;
}

OperandPlan plan(const TrainingProgram& program, OperandFormat format = OperandFormat::kSplit,
                 bool always = true) {
  return plan_operands(program, lower_products(program), kImages, format, always);
}

const OperandMap& map_of(const OperandPlan& plan, int32_t value) {
  for (const OperandMap& map : plan.maps) {
    if (map.value == value) return map;
  }
  CHECK(false);
  return plan.maps[0];
}

void check_places(const OperandPlan& plan, OperandFormat format) {
  for (const OperandMap& map : plan.maps) {
    CHECK(map.offset % 64 == 0);  // 128 bytes
    CHECK(map.offset + operand_elements(format, map.plane()) <= plan.elements);
    for (const OperandMap& other : plan.maps) {
      if (&other == &map || other.last < map.first || map.last < other.first) continue;
      CHECK(other.offset + operand_elements(format, other.plane()) <= map.offset ||
            map.offset + operand_elements(format, map.plane()) <= other.offset);
    }
  }
}

void test_maps() {
  const OperandPlan made = plan(two_layers());
  CHECK(made.products.size() == 5 && made.maps.size() == 4);
  for (const std::size_t step : {0, 2, 4, 5, 7}) CHECK(made.products.count(step) == 1);
  // The caller's pixels and what a loss writes become operands when they are first read.
  const OperandMap &input = map_of(made, kInput), &end = map_of(made, kSecondGradient);
  CHECK(!input.by_writer && input.first == 0 && input.last == 7);
  CHECK(!end.by_writer && end.first == 4 && end.last == 5);
  // What activations make, at once.
  const OperandMap &activated = map_of(made, kActivated), &gradient = map_of(made, kFirstGradient);
  CHECK(activated.by_writer && activated.first == 1 && activated.last == 4);
  CHECK(gradient.by_writer && gradient.first == 6 && gradient.last == 7);
  CHECK(made.made_by.size() == 2);
  CHECK(made.maps[made.made_by.at(1)].value == kActivated && made.maps[made.made_by.at(6)].value == kFirstGradient);
  CHECK(made.maps[made.products.at(7).a].value == kInput);
  CHECK(made.maps[made.products.at(7).b].value == kFirstGradient);
  check_places(made, OperandFormat::kSplit);
  // The last map has the place of one that is read no more.
  const int64_t elements = operand_elements(OperandFormat::kSplit, input.plane());
  CHECK(elements == 2 * kSide * kSide * kChannels && made.elements == 3 * elements);
}

// A value that is written once more is another operand from then on.
void test_a_value_that_changes() {
  TrainingProgram program = two_layers();
  program.steps[3] = step_of(TrainingOp::kActivate, kSecond, kActivated);
  const OperandPlan made = plan(program);
  CHECK(made.products.at(2).a != made.products.at(4).a);
  CHECK(made.maps[made.products.at(2).a].last == 2 && made.maps[made.products.at(4).a].first == 3);
  check_places(made, OperandFormat::kSplit);
}

void test_formats() {
  const OperandPlan plain = plan(two_layers(), OperandFormat::kBfloat16);
  CHECK(plain.made_by.size() == 2 && plain.elements == plan(two_layers()).elements / 2);
  // Their scale is that of the whole map, which no kernel knows while it makes it.
  const OperandPlan scaled = plan(two_layers(), OperandFormat::kFloat16);
  CHECK(scaled.made_by.empty());
  for (const OperandMap& map : scaled.maps) {
    CHECK(map.is_gradient == (map.value == kSecondGradient || map.value == kFirstGradient));
  }
  check_places(scaled, OperandFormat::kFloat16);
}

// What nothing but products reads is an operand alone.
void test_maps_that_are_operands_alone() {
  TrainingProgram program = two_layers();
  const OperandPlan made = plan(program);
  CHECK(map_of(made, kFirstGradient).alone);
  // A gradient's step reads what the activation has made, and what a call leaves is read behind the step.
  CHECK(!map_of(made, kActivated).alone);
  program.kept = {kFirstGradient};
  CHECK(!map_of(plan(program), kFirstGradient).alone);
  program.kept.clear();
  // Nor is what another step adds to.
  program.steps[7] = step_of(TrainingOp::kActivate, kFirst, kFirstGradient);
  program.steps[7].accumulate = true;
  program.steps.push_back(weight_gradient(kInput, kFirstGradient, 0));
  program.steps[6].dx = kFirstGradient;
  ++program.backward_steps;
  for (const OperandMap& map : plan(program).maps) CHECK(map.value != kFirstGradient || map.first == 7);
}

// A product multiplies the gradient that it makes by the slope of a ramp behind it, where that is.
void test_gates_of_products() {
  TrainingProgram program = two_layers();
  CHECK(plan(program).gates.empty());
  program.steps[6].dx = kActivatedGradient;
  program.steps[6].activation = Activation::kRelu;
  program.steps[7].dy = kActivatedGradient;
  const OperandPlan made = plan(program);
  const bool finishes = made.products.at(5).plan.finishes;
  CHECK(made.gates.count(5) == (finishes ? 1 : 0) && made.is_done(6) == finishes && !made.is_done(5));
  if (finishes) {
    const OperandMap& map = map_of(made, kActivatedGradient);
    CHECK(map.by_writer && map.first == 5 && map.alone);
  }
  program.steps[6].activation = Activation::kTanh;
  CHECK(plan(program).gates.empty());
}

// The gradient of a softmax whose pixels lie in shared memory becomes an operand there.
void test_losses() {
  TrainingProgram program = two_layers();
  program.steps[3].loss = LossKind::kCrossEntropy;
  const OperandPlan made = plan(program);
  const OperandMap& end = map_of(made, kSecondGradient);
  CHECK(end.by_writer && end.first == 3 && end.alone);
  program.steps[3].accumulate = true;
  CHECK(!map_of(plan(program), kSecondGradient).by_writer);
}

void test_weights() {
  using Weights = std::set<OperandWeight>;
  const OperandWeight first = {0, kChannels}, second = {1, kChannels};
  CHECK((plan(two_layers()).weights == Weights{first, second}));
  // Where the generic kernel does the only product that reads a weight, that is no operand. Its gradient is a
  // product of maps alone.
  TrainingProgram program = two_layers();
  program.steps[0].activation = Activation::kSigmoid;
  const OperandPlan made = plan(program);
  CHECK(made.products.count(0) == 0 && made.products.count(7) == 1);
  CHECK((made.weights == Weights{second}));
  // Of what the kernel does not do at all.
  for (TrainingStep& step : program.steps) step.activation = Activation::kSigmoid;
  CHECK(plan(program).weights.empty());
}

void test_scratch() {
  const TrainingProgram program = two_layers();
  const ProductSteps steps = lower_products(program);
  const OperandPlan made = plan(program);
  int64_t most = 0;
  for (const std::size_t step : {4, 7}) {
    most = std::max(most, int64_t{made.products.at(step).plan.splits} * kTaps * kTaps * kChannels * kChannels);
  }
  for (const std::size_t step : {0, 2, 5}) {
    const int64_t splits = made.products.at(step).plan.splits;
    if (splits > 1) most = std::max(most, splits * kImages * kSide * kSide * kChannels);
  }
  CHECK(product_scratch_floats(program, steps, made, kImages) == most && most > 0);
  CHECK(product_scratch_floats(program, steps, OperandPlan{}, kImages) == 0);
}

}  // namespace

int main() {
  test_maps();
  test_a_value_that_changes();
  test_formats();
  test_maps_that_are_operands_alone();
  test_gates_of_products();
  test_losses();
  test_weights();
  test_scratch();
  return 0;
}
