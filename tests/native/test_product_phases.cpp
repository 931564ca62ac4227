// Products whose channels are phases, carried out by plain loops: against what a transposed convolution is.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "check.h"
#include "cuda/fit/operand_plan.h"
#include "divide_up.h"

using namespace facegen;
using namespace facegen::cuda;
using namespace facegen::cuda::hopper;

namespace {

using Numbers = std::vector<double>;

// Of both axes alike but for the sizes.
struct Layer {
  int32_t ins, outs, kernel, stride, pad, output_pad, h, w;

  int32_t made(int32_t size) const { return (size - 1) * stride - 2 * pad + kernel + output_pad; }
};
constexpr int kImages = 2;

Numbers random_numbers(int64_t count) {
  static std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(-1.0, 1.0);
  Numbers numbers(static_cast<std::size_t>(count));
  for (double& number : numbers) number = uniform(random);
  return numbers;
}

// As python/facegen/nn/phases.py makes them, for outputs that are no smaller than the stride.
std::vector<Axis> phase_axes(const Layer& layer, int32_t out) {
  std::vector<Axis> axes;
  for (int32_t origin = 0; origin < layer.stride; ++origin) {
    const int32_t base = (origin + layer.pad) / layer.stride, first = (origin + layer.pad) % layer.stride;
    const int32_t taps = first < layer.kernel ? divide_up(layer.kernel - first, layer.stride) : 0;
    axes.push_back({divide_up(out - origin, layer.stride), 1, -1, base, taps, taps > 0 ? first : 0, layer.stride,
                    origin, layer.stride});
  }
  return axes;
}

enum Value : int32_t { kX, kY, kGradient, kInputGradient };

TrainingProgram program_of(const Layer& layer) {
  const int32_t h = layer.made(layer.h), w = layer.made(layer.w);
  TrainingProgram program;
  int64_t offset = 0;
  for (const bool made : {false, true, true, false}) {
    const int32_t c = made ? layer.outs : layer.ins;
    program.values.push_back({ValueKind::kArena, 0, made ? h : layer.h, made ? w : layer.w, c, offset});
    offset += program.values.back().floats();
  }
  program.arrays.push_back({"weight", nullptr, int64_t{layer.outs} * layer.kernel * layer.kernel * layer.ins});
  TrainingStep forward = {};
  forward.op = TrainingOp::kGemm;
  forward.kernel_h = forward.kernel_w = layer.kernel;
  forward.weight = 0;
  TrainingStep weight = forward, input = forward;
  for (const Axis& y : phase_axes(layer, h)) {
    for (const Axis& x : phase_axes(layer, w)) forward.phases.push_back({y, x});
  }
  forward.x = kX, forward.y = kY;
  forward.bias = 0;
  forward.activation = Activation::kTanh;
  weight.op = TrainingOp::kWeightGradient;
  weight.phases = forward.phases;
  weight.x = kX, weight.dy = kGradient;
  input.transposed = true;
  const auto read = [&](int32_t size) {
    return Axis{size, layer.stride, 1, -layer.pad, layer.kernel, 0, 1, 0, 1};
  };
  input.phases = {{read(layer.h), read(layer.w)}};
  input.x = kGradient, input.y = kInputGradient;
  input.accumulate = true;
  TrainingStep loss = {};
  loss.op = TrainingOp::kLoss;
  loss.x = kY, loss.dx = kGradient;
  program.steps = {forward, loss, weight, input};
  program.forward_steps = program.backward_steps = 2;
  return program;
}

// As gather_kernel of thin_maps.cu: (image, y, x; tap, channel).
Numbers gather(const Numbers& from, const TrainingValue& v, const GatherMap& map) {
  CHECK(!map.channel_first);
  Numbers gathered;
  for (int32_t n = 0; n < kImages; ++n) {
    for (int32_t py = 0; py < map.y.size; ++py) {
      for (int32_t px = 0; px < map.x.size; ++px) {
        for (int32_t tap = 0; tap < map.y.taps * map.x.taps; ++tap) {
          const int32_t y = py * map.y.scale + map.y.offsets[tap / map.x.taps];
          const int32_t x = px * map.x.scale + map.x.offsets[tap % map.x.taps];
          for (int32_t c = 0; c < v.c; ++c) {
            const bool inside = y >= 0 && y < v.h && x >= 0 && x < v.w;
            gathered.push_back(inside ? from[static_cast<std::size_t>(((n * v.h + y) * v.w + x) * v.c + c)] : 0.0);
          }
        }
      }
    }
  }
  return gathered;
}

// (m, n) of a (m, k) and b (k, n), each maybe the other way around.
Numbers multiply(const Numbers& a, bool a_turned, const Numbers& b, bool b_turned, std::size_t m, std::size_t n,
                 std::size_t k) {
  CHECK(a.size() == m * k && b.size() == k * n);
  Numbers c(m * n);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t l = 0; l < k; ++l) {
      const double one = a_turned ? a[l * m + i] : a[i * k + l];
      for (std::size_t j = 0; j < n; ++j) c[i * n + j] += one * (b_turned ? b[j * k + l] : b[l * n + j]);
    }
  }
  return c;
}

void check_near(const Numbers& found, const Numbers& expected) {
  CHECK(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) CHECK(std::abs(found[i] - expected[i]) < 1e-9);
}

struct Products {
  Numbers y, dw, dx;  // without bias, activation and what is added to
};

// Input i adds weight k times x[i] to output  i stride + k - pad.
Products define(const Layer& l, const Numbers& x, const Numbers& w, const Numbers& dy) {
  const int32_t made_h = l.made(l.h), made_w = l.made(l.w);
  Products all = {Numbers(dy.size()), Numbers(w.size()), Numbers(x.size())};
  for (int32_t n = 0; n < kImages; ++n) {
    for (int32_t i = 0; i < l.h * l.w * l.kernel * l.kernel; ++i) {
      const int32_t tap = i % (l.kernel * l.kernel), pixel = i / (l.kernel * l.kernel);
      const int32_t oy = pixel / l.w * l.stride + tap / l.kernel - l.pad;
      const int32_t ox = pixel % l.w * l.stride + tap % l.kernel - l.pad;
      if (oy < 0 || oy >= made_h || ox < 0 || ox >= made_w) continue;
      for (int32_t out = 0; out < l.outs; ++out) {
        const auto at_y = static_cast<std::size_t>(((n * made_h + oy) * made_w + ox) * l.outs + out);
        for (int32_t in = 0; in < l.ins; ++in) {
          const auto at_x = static_cast<std::size_t>((n * l.h * l.w + pixel) * l.ins + in);
          const auto at_w = static_cast<std::size_t>((out * l.kernel * l.kernel + tap) * l.ins + in);
          all.y[at_y] += w[at_w] * x[at_x];
          all.dw[at_w] += dy[at_y] * x[at_x];
          all.dx[at_x] += dy[at_y] * w[at_w];
        }
      }
    }
  }
  return all;
}

void test_products(const Layer& layer) {
  const TrainingProgram program = program_of(layer);
  const TrainingValue &vx = program.values[kX], &vy = program.values[kY];
  const ProductStep forward = lower_product(program.steps[0], program);
  const ProductStep weight = lower_product(program.steps[2], program);
  const ProductStep input = lower_product(program.steps[3], program);
  for (const ProductStep* product : {&forward, &weight, &input}) {
    CHECK(product->phases && product->gather && product->step.phases.size() == 1);
    CHECK(product->groups.ins == forward.groups.ins && product->groups.outs == forward.groups.outs);
    CHECK(weight_of(*product) == weight_of(forward));
    CHECK(product->scatters == (product != &weight) && product->gather_dy.has_value() == (product == &weight));
    CHECK(product->step.bias < 0 && product->step.activation == Activation::kNone && !product->step.accumulate);
  }
  const PhaseChannels& phases = *forward.phases;
  const int32_t h = phases.y.positions, w = phases.x.positions;
  const auto rows = static_cast<std::size_t>(kImages * h * w);
  const auto lines = static_cast<std::size_t>(phases.lines()), columns = static_cast<std::size_t>(phases.columns());

  const Numbers x = random_numbers(kImages * vx.floats()), dy = random_numbers(kImages * vy.floats());
  const Numbers parameter = random_numbers(program.arrays[0].floats);
  const Products expected = define(layer, x, parameter, dy);
  Numbers arranged;
  std::vector<int> used(parameter.size());
  for (int line = 0; line < phases.lines(); ++line) {
    for (int column = 0; column < phases.columns(); ++column) {
      const int at = phases.weight_at(line, column);
      arranged.push_back(at < 0 ? 0.0 : parameter[static_cast<std::size_t>(at)]);
      if (at >= 0) ++used[static_cast<std::size_t>(at)];
    }
  }
  for (const int times : used) CHECK(times == 1);

  // Forward: a pixel from its phase.
  const Numbers windows = gather(x, vx, *forward.gather);
  const Numbers made = multiply(windows, false, arranged, true, rows, lines, columns);
  Numbers y;
  for (int32_t n = 0; n < kImages; ++n) {
    for (int32_t i = 0; i < vy.h * vy.w * vy.c; ++i) {
      const int32_t qy = i / vy.c / vy.w, qx = i / vy.c % vy.w;
      const int32_t row = (n * h + qy / layer.stride) * w + qx / layer.stride;
      const int32_t line = (qy % layer.stride * layer.stride + qx % layer.stride) * vy.c + i % vy.c;
      y.push_back(made[static_cast<std::size_t>(row * phases.lines() + line)]);
    }
  }
  check_near(y, expected.y);

  // Weight.
  const Numbers of_outputs = gather(dy, vy, *weight.gather_dy);
  const Numbers sums = multiply(gather(x, vx, *weight.gather), true, of_outputs, false, columns, lines, rows);
  Numbers dw(parameter.size());
  for (int line = 0; line < phases.lines(); ++line) {
    for (int column = 0; column < phases.columns(); ++column) {
      const int at = phases.weight_at(line, column);
      if (at >= 0) dw[static_cast<std::size_t>(at)] = sums[static_cast<std::size_t>(column * phases.lines() + line)];
    }
  }
  check_near(dw, expected.dw);

  // Input: what the windows that have a pixel have there.
  const Numbers gradients =
      multiply(gather(dy, vy, *input.gather), false, arranged, false, rows, columns, lines);
  const TrainingPhase reads = {window_sums(phases.y, vx.h), window_sums(phases.x, vx.w), phases.x.window, vx.w};
  Numbers dx;
  for (int32_t n = 0; n < kImages; ++n) {
    for (int32_t i = 0; i < vx.h * vx.w * vx.c; ++i) {
      double sum = 0.0;
      for (int tap = 0; tap < reads.taps(); ++tap) {
        const int py = reads.input_y(i / vx.c / vx.w, tap), px = reads.input_x(i / vx.c % vx.w, tap);
        if (py < 0 || py >= h || px < 0 || px >= w) continue;
        const int column = reads.weight_tap(tap) * vx.c + i % vx.c;
        sum += gradients[static_cast<std::size_t>(((n * h + py) * w + px) * phases.columns() + column)];
      }
      dx.push_back(sum);
    }
  }
  check_near(dx, expected.dx);
}

// The maps that all three products share, and what they take.
void test_plan() {
  const TrainingProgram program = program_of({21, 21, 11, 4, 0, 0, 55, 55});
  const ProductSteps steps = lower_products(program);
  const OperandPlan plan = plan_operands(program, steps, 32, OperandFormat::kSplit, false);
  CHECK(plan.products.size() == 3 && plan.maps.size() == 2 && plan.weights.size() == 1);
  const PhaseChannels& phases = *steps.at(0).phases;
  CHECK(phases.y.window == 3 && phases.y.positions == 57 && phases.columns() == 189 && phases.lines() == 336);
  const PlannedProduct &forward = plan.products.at(0), &weight = plan.products.at(2), &input = plan.products.at(3);
  CHECK(forward.a == weight.a && weight.b == input.a && weight.a != weight.b);
  CHECK(!forward.plan.finishes && !input.plan.finishes);
  CHECK(plan.maps[forward.a].pitch() == 192 && plan.maps[weight.b].pitch() == 336);
  CHECK(plan.elements == operand_elements(OperandFormat::kSplit, 57 * 57 * 192) +
                             operand_elements(OperandFormat::kSplit, 57 * 57 * 336));
  CHECK(product_scratch_floats(program, steps, plan, 32) == int64_t{32} * 57 * 57 * 336);
}

bool is_lowered(const Layer& layer) {
  const TrainingProgram program = program_of(layer);
  const bool forward = lower_product(program.steps[0], program).phases.has_value();
  CHECK(lower_product(program.steps[2], program).phases.has_value() == forward);
  CHECK(lower_product(program.steps[3], program).phases.has_value() == forward);
  return forward;
}

// Where the definition's products are as few.
void test_others() {
  CHECK(!is_lowered({64, 64, 4, 2, 1, 0, 8, 8}));   // many channels
  CHECK(!is_lowered({32, 32, 4, 2, 1, 0, 8, 8}));   // what is gathered takes longer
  CHECK(!is_lowered({64, 3, 4, 2, 1, 0, 8, 8}));    // few outputs: their taps are scattered
  CHECK(!is_lowered({21, 21, 3, 1, 1, 0, 8, 8}));   // one phase
  CHECK(!is_lowered({21, 21, 11, 9, 0, 0, 8, 8}));  // steps that no kernel makes
  CHECK(is_lowered({21, 21, 16, 8, 4, 0, 8, 8}));
}

}  // namespace

int main() {
  test_products({21, 21, 11, 4, 0, 0, 5, 7});
  test_products({24, 20, 4, 2, 1, 0, 6, 5});
  test_products({5, 21, 3, 2, 0, 0, 4, 7});
  test_products({21, 21, 3, 2, 1, 1, 7, 3});
  test_products({21, 24, 2, 2, 0, 0, 5, 4});
  test_products({21, 21, 16, 8, 4, 0, 3, 4});
  test_products({5, 21, 5, 3, 2, 0, 4, 3});
  test_plan();
  test_others();
  return 0;
}
