// Programs of several steps: the arena, callers at once, a child after fork(), the choice of an
// instruction set.
#include "cpu/executable.h"

#include <cmath>
#include <cstdlib>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "all_kernels.h"
#include "check.h"
#include "cpu/dispatch.h"
#include "one_step.h"
#include "process.h"

using namespace facegen;
using namespace facegen::test;

namespace {

constexpr int kH = 6, kW = 7, kIn = 5, kMiddle = 9, kOut = 20;

// Two 1x1 convolutions write the halves of one buffer in the arena (a concatenation); ReLU on it
// goes to another; a last convolution reads that.
class Network {
 public:
  explicit Network(const cpu::Kernels& kernels) {
    std::mt19937 random(seed());
    left_ = draw(kMiddle * kIn, random);
    right_ = draw(kMiddle * kIn, random);
    last_ = draw(kOut * 2 * kMiddle, random);
    const Tensor in = {kH, kW, kIn}, both = {kH, kW, 2 * kMiddle}, out = {kH, kW, kOut};
    const Tensor first = {kH, kW, kMiddle, 0, kMiddle}, second = {kH, kW, kMiddle, kMiddle, 0};
    const Phase phase = {{kH, 1, 1, 0, 1, 0, 1, 0, 1}, {kW, 1, 1, 0, 1, 0, 1, 0, 1}};
    const auto gemm = [&](View from, View to, const std::vector<float>& weight) {
      Step step = {};
      step.op = Op::kGemm;
      step.in = from;
      step.out = to;
      step.phases = &phase;
      step.phase_count = step.kernel_h = step.kernel_w = 1;
      step.weight = weight.data();
      return step;
    };
    Step relu = {};
    relu.op = Op::kPointwise;
    relu.in = both.view(1);
    relu.out = both.view(2);
    relu.epilogue.activation = Activation::kRelu;
    const Step steps[] = {gemm(in.view(0), first.view(1), left_),
                          gemm(in.view(0), second.view(1), right_), relu,
                          gemm(both.view(2), out.view(3), last_)};
    const Buffer buffers[] = {{BufferKind::kInput, 0, in.floats(), 0},
                              {BufferKind::kArena, 0, both.floats(), 0},
                              {BufferKind::kArena, 0, both.floats(), both.floats()},
                              {BufferKind::kOutput, 0, out.floats(), 0}};
    const Program program = {steps, 4, buffers, 4, 2 * both.floats()};
    executable_ = std::make_unique<cpu::Executable>(program, kernels);
  }

  static int64_t in_floats() { return int64_t{kH} * kW * kIn; }

  std::vector<float> run(int64_t images, const std::vector<float>& in, int threads) const {
    std::vector<float> out(static_cast<std::size_t>(images * kH * kW * kOut), kGuard);
    const float* const inputs[] = {in.data()};
    float* const outputs[] = {out.data()};
    executable_->run(images, inputs, outputs, threads);
    return out;
  }

  Bounded expected(const float* pixel, int column, cpu::Products products) const {
    const auto at = [](const std::vector<float>& weight, int i) {
      return static_cast<double>(weight[static_cast<std::size_t>(i)]);
    };
    // All numbers are below 1, those between the layers below kIn.
    double sum = 0, magnitude = 0;
    for (int m = 0; m < 2 * kMiddle; ++m) {
      const std::vector<float>& weight = m < kMiddle ? left_ : right_;
      double middle = 0, size = 0;
      for (int c = 0; c < kIn; ++c) {
        const double product = static_cast<double>(pixel[c]) * at(weight, m % kMiddle * kIn + c);
        middle += product;
        size += std::fabs(product);
      }
      const double w = at(last_, column * 2 * kMiddle + m);
      sum += std::max(middle, 0.0) * w;
      magnitude += size * std::fabs(w);
    }
    Bounded y = sum_of_products(sum, magnitude, kIn, kIn + 2 * kMiddle, products);
    y.bound *= 2;  // two layers
    return y;
  }

 private:
  std::vector<float> left_, right_, last_;
  std::unique_ptr<cpu::Executable> executable_;
};

void test_arena(const cpu::Kernels& kernels) {
  begin_case("arena", kernels);
  const Network network(kernels);
  std::mt19937 random(seed() + 1);
  for (int images : {1, 17, 3}) {
    const std::vector<float> in = draw(images * Network::in_floats(), random);
    network.run(images, std::vector<float>(in.size(), std::nanf("")), 2);  // poisons the arena
    const std::vector<float> out = network.run(images, in, 1);
    check_close({kH, kW, kOut}, out, [&](int64_t i) {
      return network.expected(&in[static_cast<std::size_t>(i / kOut * kIn)],
                              static_cast<int>(i % kOut), kernels.products);
    });
    CHECK(same_bits(network.run(images, in, 3), out));
  }
  CHECK(network.run(0, {}, 2).empty());
}

// One Executable, several callers, batches of several sizes: each gets its own arena.
void test_callers_at_once(const cpu::Kernels& kernels) {
  begin_case("callers at once", kernels);
  const Network network(kernels);
  std::vector<std::thread> callers;
  for (uint32_t id = 0; id < 3; ++id) {
    callers.emplace_back([&network, id] {
      std::mt19937 random(seed() + id);
      for (int64_t images : {5, 2, 9}) {
        const std::vector<float> in = draw(images * Network::in_floats(), random);
        const std::vector<float> out = network.run(images, in, 1);
        for (int i = 0; i < 20; ++i) CHECK(same_bits(network.run(images, in, 2), out));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

// An Executable made and used before fork() gives the same bits in the child.
void test_fork(const cpu::Kernels& kernels) {
  begin_case("fork", kernels);
  const Network network(kernels);
  std::mt19937 random(seed());
  const std::vector<float> in = draw(9 * Network::in_floats(), random);
  const std::vector<float> out = network.run(9, in, 2);
  check_in_child([&] { return same_bits(network.run(9, in, 2), out); });
  CHECK(same_bits(network.run(9, in, 2), out));
}

std::string refusal(const std::string& isa) {
  try {
    cpu::choose_kernels(isa);
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "";
}

void test_choice() {
  unset_variable("FACEGEN_ISA");
  const auto available = cpu::available_kernels();
  CHECK(std::string(available.back()->isa) == "portable");
  CHECK(&cpu::choose_kernels("") == available.front());
  for (const cpu::Kernels* kernels : available) {
    CHECK(&cpu::choose_kernels(kernels->isa) == kernels);
    set_variable("FACEGEN_ISA", kernels->isa);
    CHECK(&cpu::choose_kernels("") == kernels);
    CHECK(&cpu::choose_kernels("portable") == available.back());  // an argument goes first
  }
  set_variable("FACEGEN_ISA", "avx9");
  CHECK(refusal("").rfind("FACEGEN_ISA=avx9 is not available here; expected one of: ", 0) == 0);
  CHECK(refusal("sse9").rfind("instruction set sse9 is not available here", 0) == 0);
  set_variable("FACEGEN_ISA", "");
  CHECK(&cpu::choose_kernels("") == available.front());
  unset_variable("FACEGEN_ISA");
}

}  // namespace

int main() {
  for (const cpu::Kernels* kernels : all_kernels()) {
    test_arena(*kernels);
    test_callers_at_once(*kernels);
    test_fork(*kernels);
  }
  test_choice();
}
