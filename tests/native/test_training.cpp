// What training adds on every instruction set, against naive loops in float64: weight gradients, sums
// in a tree, and the rows of norms, pools, optimizers. Arrays end where their memory does, so that a
// sanitizer sees what reads beyond.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "cpu/training/depthwise.h"
#include "cpu/training/executable.h"
#include "cpu/training/products.h"
#include "cpu/training/tree.h"
#include "cpu/training/weight_gradient.h"
#include "training_program.h"

using namespace facegen;

namespace {

using Floats = std::vector<float>;

Floats draw(int64_t count, std::mt19937& random) {
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  Floats values(static_cast<std::size_t>(count));
  for (float& value : values) value = uniform(random);
  return values;
}

struct Case {
  int images, kernel, stride, pad, dilation;
  TrainingValue x, dy;
};

TrainingValue value(int h, int w, int c) { return {ValueKind::kArena, 0, h, w, c, 0}; }

View view(const TrainingValue& v) { return {0, v.h, v.w, v.c, v.c, 0}; }

Case conv(int images, TrainingValue x, int out, int kernel, int stride, int pad, int dilation) {
  const auto size = [&](int n) { return (n + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1; };
  return {images, kernel, stride, pad, dilation, x, value(size(x.h), size(x.w), out)};
}

TrainingStep weight_step(const Case& c) {
  TrainingStep step;
  step.op = TrainingOp::kWeightGradient;
  step.kernel_h = step.kernel_w = c.kernel;
  const auto axis = [&](int out) {
    return Axis{out, c.stride, c.dilation, -c.pad, c.kernel, 0, 1, 0, 1};
  };
  step.phases = {{axis(c.dy.h), axis(c.dy.w)}};
  return step;
}

std::vector<double> naive_weight_gradient(const Case& c, const Floats& x, const Floats& dy) {
  std::vector<double> sum(static_cast<std::size_t>(c.dy.c * c.kernel * c.kernel * c.x.c));
  for (int n = 0; n < c.images; ++n) {
    for (int oy = 0; oy < c.dy.h; ++oy) {
      for (int ox = 0; ox < c.dy.w; ++ox) {
        for (int t = 0; t < c.kernel * c.kernel; ++t) {
          const int iy = oy * c.stride + t / c.kernel * c.dilation - c.pad;
          const int ix = ox * c.stride + t % c.kernel * c.dilation - c.pad;
          if (iy < 0 || iy >= c.x.h || ix < 0 || ix >= c.x.w) continue;
          for (int o = 0; o < c.dy.c; ++o) {
            for (int i = 0; i < c.x.c; ++i) {
              sum[std::size_t((o * c.kernel * c.kernel + t) * c.x.c + i)] +=
                  double{dy[std::size_t(((n * c.dy.h + oy) * c.dy.w + ox) * c.dy.c + o)]} *
                  double{x[std::size_t(((n * c.x.h + iy) * c.x.w + ix) * c.x.c + i)]};
            }
          }
        }
      }
    }
  }
  return sum;
}

void test_weight_gradients(std::mt19937& random) {
  const Case cases[] = {
      conv(3, value(6, 7, 3), 5, 3, 1, 1, 1),     conv(2, value(9, 8, 1), 20, 5, 1, 0, 1),
      conv(9, value(5, 5, 33), 29, 3, 2, 1, 1),   conv(20, value(1, 1, 40), 37, 1, 1, 0, 1),
      conv(17, value(4, 4, 16), 15, 4, 1, 0, 1),  conv(1, value(11, 9, 17), 3, 3, 1, 2, 2),
      conv(2, value(40, 40, 48), 31, 3, 1, 1, 1), conv(3, value(7, 7, 64), 70, 1, 1, 0, 1),
  };
  for (const Case& c : cases) {
    const Floats x = draw(c.images * c.x.floats(), random), dy = draw(c.images * c.dy.floats(), random);
    const std::vector<double> expected = naive_weight_gradient(c, x, dy);
    const double terms = static_cast<double>(c.images) * c.dy.h * c.dy.w;
    for (const cpu::Kernels* kernels : cpu::available_kernels()) {
      const cpu::WeightGradient gradient(weight_step(c), view(c.x), view(c.dy),
                                         cpu::training_kernels(*kernels));
      Floats first;
      for (const int threads : {1, 2, 5}) {
        Floats found(expected.size(), std::nanf(""));
        gradient.run(c.images, x.data(), dy.data(), found.data(), threads);
        for (std::size_t i = 0; i < found.size(); ++i) {
          // Sums of so many products of at most 1: rounding errors add up like a random walk.
          CHECK(std::abs(double{found[i]} - expected[i]) <= 1e-7 * (10.0 + 10.0 * terms / 8.0));
        }
        if (first.empty()) first = found;
        CHECK(first == found);  // to the bit
      }
    }
  }
}

void test_tree() {
  const auto add = [](const float* x, float* y, int64_t count) {
    for (int64_t i = 0; i < count; ++i) y[i] += x[i];
  };
  for (int64_t chunks = 1; chunks <= 40; ++chunks) {
    Floats memory(static_cast<std::size_t>(cpu::TreeSum<float>::memory_size(chunks, 2)));
    cpu::TreeSum<float> tree(memory.data(), 2, add);
    std::vector<double> pairs;
    for (int64_t i = 0; i < chunks; ++i, tree.push()) {
      tree.next()[0] = static_cast<float>(i);
      tree.next()[1] = 1.0f;
      pairs.push_back(static_cast<double>(i));
    }
    const float* sum = tree.finish();
    CHECK(sum[0] == static_cast<float>(chunks * (chunks - 1) / 2) &&
          sum[1] == static_cast<float>(chunks));
    cpu::add_in_pairs(pairs.data(), chunks, 1);
    CHECK(pairs[0] == static_cast<double>(sum[0]));
  }
}

void test_rows(std::mt19937& random) {
  for (const cpu::Kernels* of_isa : cpu::available_kernels()) {
    const cpu::TrainingKernels& kernels = cpu::training_kernels(*of_isa);
    for (const int channels : {1, 3, 16, 37}) {
      const int pixels = 5;
      const auto count = static_cast<std::size_t>(channels * pixels);
      const Floats x = draw(channels * pixels, random), dy = draw(channels * pixels, random);
      std::vector<double> sums(static_cast<std::size_t>(channels), 1.0);
      kernels.channel_sums(x.data(), pixels, channels, channels, sums.data());
      const Floats mean(sums.size(), 0.25f), inverse(sums.size(), 2.0f);
      std::vector<double> g(sums.size()), gh(sums.size());
      const cpu::NormGradientRow row = {{Activation::kRelu, 0.0f, 0.0f}, x.data(), x.data(), dy.data(),
                                        mean.data(), inverse.data(), pixels, channels, channels};
      kernels.norm_sums(row, g.data(), gh.data());
      Floats dx(count);
      kernels.norm_gradient(row, inverse.data(), mean.data(), mean.data(), dx.data(), false);
      Floats added = x;
      kernels.add(dy.data(), added.data(), static_cast<int64_t>(count));
      for (int c = 0; c < channels; ++c) {
        double sum = 1.0, of_g = 0.0, of_gh = 0.0;
        for (int p = 0; p < pixels; ++p) {
          const auto at = static_cast<std::size_t>(p * channels + c);
          const double here = x[at] > 0.0f ? double{dy[at]} : 0.0;
          const double h = (double{x[at]} - 0.25) * 2.0;
          sum += double{x[at]};
          of_g += here;
          of_gh += here * h;
          CHECK(std::abs(double{dx[at]} - (2.0 * here - 0.25 - 0.25 * h)) < 1e-6);
          CHECK(added[at] == x[at] + dy[at]);
        }
        const auto at = static_cast<std::size_t>(c);
        CHECK(std::abs(sums[at] - sum) < 1e-12);
        CHECK(std::abs(g[at] - of_g) < 1e-6 && std::abs(gh[at] - of_gh) < 1e-6);
      }
    }
  }
}

// A call of a step by itself.
cpu::TrainingStepCall call_of(const TrainingStep& step, const cpu::Kernels& kernels, int64_t images,
                              cpu::Batch x, cpu::Batch y, cpu::Batch dy, cpu::Batch dx) {
  return {step, kernels, cpu::training_kernels(kernels), images, 2, x, {}, y, dy, dx, {images, 0}, {}};
}

// <depthwise(x), dy> = <x, dx> = <weight, dw>: both gradients are those of the sum.
void test_depthwise(std::mt19937& random) {
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    for (const int c : {1, 5, 16, 67}) {
      const TrainingValue x = value(9, 8, c), y = value(5, 4, c);
      const int images = 9;
      Floats in = draw(images * x.floats(), random), out(std::size_t(images * y.floats()));
      Floats dy = draw(images * y.floats(), random), dx(in.size(), std::nanf(""));
      const Floats weight = draw(c * 9, random);
      std::vector<double> dw(weight.size(), std::nan(""));
      TrainingStep step;
      step.window = {3, 3, 2, 2, 1, 1};
      const cpu::Batch bx = {in.data(), &x}, by = {out.data(), &y}, bdy = {dy.data(), &y},
                       bdx = {dx.data(), &x};
      cpu::depthwise(call_of(step, *kernels, images, bx, by, {}, {}), weight.data(), nullptr);
      cpu::depthwise_gradient(call_of(step, *kernels, images, {}, {}, bdy, bdx), weight.data());
      cpu::depthwise_weight_gradient(call_of(step, *kernels, images, bx, {}, bdy, {}), dw.data());
      double of_y = 0.0, of_x = 0.0, of_w = 0.0;
      for (std::size_t i = 0; i < out.size(); ++i) of_y += double{out[i]} * double{dy[i]};
      for (std::size_t i = 0; i < in.size(); ++i) of_x += double{in[i]} * double{dx[i]};
      for (std::size_t i = 0; i < dw.size(); ++i) of_w += double{weight[i]} * dw[i];
      // Sums of so many products of numbers of about 1, each off by some 1e-7.
      const double most = 1e-6 * std::sqrt(static_cast<double>(out.size())) * 3.0;
      CHECK(std::abs(of_y - of_x) <= most && std::abs(of_y - of_w) <= most);
    }
  }
}

// What moves channels and its gradient are each other's inverse; a softmax's gradient sums to 0.
void test_moves(std::mt19937& random) {
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    const TrainingValue blocks = value(3, 2, 12), pixels = value(6, 4, 3);
    const int images = 2;
    Floats x = draw(images * blocks.floats(), random), y(x.size()), back(x.size());
    TrainingStep step;
    step.block = 2;
    for (const bool depth_first : {false, true}) {
      step.depth_first = depth_first;
      cpu::rearrange(call_of(step, *kernels, images, {x.data(), &blocks}, {y.data(), &pixels}, {}, {}));
      cpu::rearrange(call_of(step, *kernels, images, {y.data(), &pixels}, {back.data(), &blocks}, {}, {}));
      CHECK(back == x && y != x);
    }
    step.groups = 3;
    cpu::shuffle(call_of(step, *kernels, images, {x.data(), &blocks}, {y.data(), &blocks}, {}, {}));
    step.groups = 4;
    cpu::shuffle(call_of(step, *kernels, images, {y.data(), &blocks}, {back.data(), &blocks}, {}, {}));
    CHECK(back == x && y != x);
    Floats dx(x.size());
    cpu::softmax(call_of(step, *kernels, images, {x.data(), &blocks}, {y.data(), &blocks}, {}, {}));
    cpu::softmax_gradient(call_of(step, *kernels, images, {}, {y.data(), &blocks},
                                  {x.data(), &blocks}, {dx.data(), &blocks}));
    for (std::size_t pixel = 0; pixel < x.size(); pixel += 12) {
      double sum = 0.0;
      for (std::size_t c = 0; c < 12; ++c) sum += double{dx[pixel + c]};
      CHECK(std::abs(sum) < 1e-6);
    }
  }
}

// y = w x + b of two numbers, minimised by Adam: a whole program.
void test_executable() {
  TrainingProgram program;
  program.values = {{ValueKind::kInput, 0, 1, 1, 2, 0},
                    {ValueKind::kTarget, 0, 1, 1, 1, 0},
                    {ValueKind::kArena, 0, 1, 1, 1, 0},
                    {ValueKind::kArena, 0, 1, 1, 1, 16}};
  program.targets = {1};
  program.arena_floats = 32;
  Floats w = {0.0f, 0.0f}, b = {0.0f}, mw(2), vw(2), mb(1), vb(1);
  program.arrays = {{"w", w.data(), 2}, {"b", b.data(), 1}, {"mw", mw.data(), 2},
                    {"vw", vw.data(), 2}, {"mb", mb.data(), 1}, {"vb", vb.data(), 1}};
  const Axis one = {1, 1, 1, 0, 1, 0, 1, 0, 1};
  TrainingStep gemm, loss, dw, db, update;
  gemm.op = TrainingOp::kGemm;
  gemm.x = 0, gemm.y = 2, gemm.weight = 0, gemm.bias = 1;
  gemm.phases = {{one, one}};
  gemm.kernel_h = gemm.kernel_w = 1;
  loss.op = TrainingOp::kLoss;
  loss.x = 2, loss.y = 1, loss.dx = 3;
  loss.loss = LossKind::kL2;
  dw = gemm;
  dw.op = TrainingOp::kWeightGradient;
  dw.x = 0, dw.y = -1, dw.dy = 3;
  db.op = TrainingOp::kBiasGradient;
  db.dy = 3, db.bias = 1;
  update.op = TrainingOp::kUpdate;
  update.optimizer = OptimizerKind::kAdam;
  update.beta1 = 0.9, update.beta2 = 0.999, update.eps = 1e-8f;
  update.weight = 0, update.first_moment = 2, update.second_moment = 3;
  program.steps = {gemm, loss, dw, db, update};
  update.weight = 1, update.first_moment = 4, update.second_moment = 5;
  program.steps.push_back(update);
  program.forward_steps = 2;
  program.backward_steps = 2;
  cpu::TrainingExecutable executable(program, cpu::choose_kernels(""));
  const Floats x = {0, 0, 1, 0, 0, 1, 1, 1}, y = {0.5f, 1.5f, -0.5f, 0.5f};  // x0 - x1 + 1/2
  std::vector<double> losses(4);
  for (uint64_t step = 0; step < 400; ++step) {
    executable.run(
        {{4, 4, {x.data()}, {y.data()}, losses.data(), {0.02}, 0, step, true, false, 2}, nullptr});
  }
  CHECK(std::abs(w[0] - 1.0f) < 1e-2f && std::abs(w[1] + 1.0f) < 1e-2f);
  CHECK(std::abs(b[0] - 0.5f) < 1e-2f);
}

// A label beyond the classes, which the caller should have found, stops the step: it is no index.
void test_labels_beyond_the_classes() {
  TrainingProgram program;
  program.values = {{ValueKind::kInput, 0, 1, 1, 3, 0},
                    {ValueKind::kTarget, 0, 1, 1, 1, 0},
                    {ValueKind::kArena, 0, 1, 1, 3, 0}};
  program.targets = {1};
  program.arena_floats = 16;
  TrainingStep loss;
  loss.op = TrainingOp::kLoss;
  loss.x = 0, loss.y = 1, loss.dx = 2;
  loss.loss = LossKind::kCrossEntropy;
  program.steps = {loss};
  program.forward_steps = 1;
  cpu::TrainingExecutable executable(program, cpu::choose_kernels(""));
  const Floats x(6);
  std::vector<double> losses(2);
  const auto stops = [&](int32_t label) {
    const int32_t labels[] = {2, label};
    try {
      executable.run(
          {{2, 2, {x.data()}, {labels}, losses.data(), {}, 0, 0, true, false, 1}, nullptr});
    } catch (const std::domain_error&) {
      return true;
    }
    return false;
  };
  CHECK(!stops(0) && !stops(2) && !stops(-1) && !stops(INT32_MIN));
  CHECK(stops(3) && stops(INT32_MAX));
}

}  // namespace

int main() {
  std::mt19937 random(1);
  test_weight_gradients(random);
  test_tree();
  test_rows(random);
  test_depthwise(random);
  test_moves(random);
  test_executable();
  test_labels_beyond_the_classes();
  return 0;
}
