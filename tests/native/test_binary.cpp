// Binary layers on every instruction set against a naive loop: sums of signs are exact.
#include "cpu/binary_gemm.h"

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "all_kernels.h"
#include "check.h"
#include "gemm_layer.h"
#include "one_step.h"
#include "program.h"

using namespace facegen;
using namespace facegen::test;

namespace {

using test::Window;  // and not the program's

void make_signs(std::vector<float>& values) {
  for (float& x : values) x = x < 0.0f ? -1.0f : 1.0f;
}

void check_layer(const Layer& l, std::mt19937& random) {
  Data data = draw_data(l, random);
  make_signs(data.in);
  make_signs(data.weight);
  const Sums sums = sums_of(l, data);
  const std::vector<Phase> phases = phases_of(l);
  for (const cpu::Kernels* kernels : all_kernels()) {
    begin_case(describe(l) + ", " + kernels->binary->name, *kernels);
    Step step = step_of(l, data, phases, Algorithm::kAuto);
    step.binary = true;
    Step shown = step;
    shown.in = l.in.view(0);
    shown.out = l.out.view(1);
    CHECK(cpu::find_gemm(shown, *kernels)->name == std::string("binary"));
    const Tensor add = {l.out.h, l.out.w, l.out.c, l.out.back, l.out.front + 1};
    const OneStep network = {step, l.in, l.out, l.add ? &add : nullptr, *kernels};
    const std::vector<float> found = network.run_checked(l.images, data.in, data.add);
    check_close(l.out, found, [&](int64_t i) {
      Bounded y = expected(l, data, sums, i, cpu::Products::kFloat32);
      // What is exact: the sum itself, where nothing is added to it.
      if (!l.bias && !l.add) y.bound = 0;
      return y;
    });
  }
}

std::vector<Layer> layers() {
  const Window same = {3, 1, 1, 1};
  std::vector<Layer> result = {
      conv2d(2, {4, 5, 3}, 5, same),
      conv2d(1, {6, 6, 64}, 128, same),
      conv2d(3, {7, 5, 65}, 129, {2, 1, 0, 2}, {3, 2, 1, 0}),
      conv2d(1, {9, 9, 31}, 17, {3, 2, 2, 2, 2}),
      conv2d(2, {1, 40, 256}, 31, {1, 1}, same),
      linear(5, 1000, 10),
      linear(1, 70000, 2),
      linear(33, 4, 1),
  };
  for (Layer& l : result) l.bias = false;
  Layer more = conv2d(2, {5, 4, 24}, 40, same);
  more.add = true;
  more.activation = Activation::kLeakyRelu;
  result.push_back(more);
  return result;
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  for (const Layer& l : layers()) check_layer(l, random);
}
