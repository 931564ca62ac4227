// Algorithms that a step asks for by name, on every kernel of float32 products: inside wider buffers, with
// any batch and any threads, and against the definition in float64.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "cpu/executable.h"
#include "gemm_layer.h"
#include "one_step.h"

using namespace facegen;
using namespace facegen::test;

namespace {

struct Named {
  Algorithm algorithm;
  const char* kernel;
  // How many times the largest magnitude of the definition's bound its errors may be; 0: an output's own.
  // python/facegen/kernels/algorithms.py has the reasons.
  double growth;
};

constexpr Named kNamed[] = {{Algorithm::kNaive, "naive", 0},
                            {Algorithm::kIm2col, "im2col", 0},
                            {Algorithm::kFft, "fft", 64},
                            {Algorithm::kStrassen, "strassen", 9}};

std::vector<Layer> layers() {
  Layer epilogue = conv2d(2, {9, 8, 7, 2, 1}, 21, {3, 1, 1, 1});
  epilogue.out.front = 3;
  epilogue.add = epilogue.scale = epilogue.shift = true;
  epilogue.activation = Activation::kLeakyRelu;
  return {
      epilogue,
      conv2d(3, {13, 20, 3}, 17, {11, 1, 5, 5}),
      conv2d(1, {4, 5, 9}, 4, {11, 1, 5, 5}),
      conv2d(1, {40, 33, 2}, 3, {31, 1, 15, 15}),
      conv2d(1, {9, 8, 300}, 5, {7, 1, 3, 3}),
      conv2d(1, {9, 11, 5}, 18, {3, 1, 2, 2, 2}, {2, 1}),
      conv_transpose2d(2, {5, 6, 9}, 6, {5, 2, 1, 2}),
      conv_transpose2d(1, {4, 5, 4}, 6, {2, 3, 0, 0, 1, 1}),
      linear(3, 300, 40),
  };
}

void check_layer(const Layer& l, const Named& named, std::mt19937& random) {
  const Data data = draw_data(l, random);
  const Sums sums = sums_of(l, data);
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    if (kernels->products != cpu::Products::kFloat32) continue;
    begin_case(std::string(named.kernel) + ", " + describe(l), *kernels);
    const OneStep network = executable(l, data, *kernels, named.algorithm);
    const std::vector<float> found = network.run_checked(l.images, data.in, data.add);
    Sums spread = sums;
    if (named.growth > 0) {
      std::fill(spread.magnitude.begin(), spread.magnitude.end(),
                named.growth * largest_magnitude(sums.magnitude));
    }
    check_close(l.out, found, [&](int64_t i) {
      return expected(l, data, spread, i, cpu::Products::kFloat32);
    });
  }
}

// What is asked for is what runs.
void test_choice() {
  const Layer l = conv2d(1, {9, 9, 4}, 8, {3, 1, 1, 1});
  const std::vector<Phase> phases = phases_of(l);
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    for (const Named& named : kNamed) {
      Step step = step_of(l, {}, phases, named.algorithm);
      step.in = l.in.view(0);
      step.out = l.out.view(1);
      CHECK(std::string(cpu::find_kernel(step, *kernels)) == named.kernel);
    }
  }
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  for (const Layer& layer : layers()) {
    for (const Named& named : kNamed) check_layer(layer, named, random);
  }
  test_choice();
}
