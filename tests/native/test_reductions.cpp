// argmax and the global average pool on every instruction set, against their definitions.
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "one_step.h"
#include "program.h"

using namespace facegen;
using namespace facegen::test;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

std::vector<float> arg_max_of(const cpu::Kernels& kernels, const Tensor& in,
                              const std::vector<float>& values, int64_t images) {
  Step step = {};
  step.op = Op::kArgMax;
  return OneStep(step, in, {in.h, in.w, 1, 2, 1}, nullptr, kernels)
      .run_checked(images, values, {});
}

// By the definition: the first that is larger than all before it; nothing beats a NaN.
float naive_arg_max(const float* x, int channels) {
  int best = 0;
  for (int c = 1; c < channels && !std::isnan(x[best]); ++c) {
    if (std::isnan(x[c]) || x[c] > x[best]) best = c;
  }
  return static_cast<float>(best);
}

void test_arg_max(std::mt19937& random, const Tensor& in) {
  const int64_t images = 3;
  std::vector<float> values = draw(images * in.size(), random);
  for (float& value : values) value = std::round(8 * value);  // many equal ones
  for (std::size_t i = 0; i < values.size(); i += 17) values[i] = i % 2 == 0 ? kNan : kInfinity;
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case("argmax of " + std::to_string(in.c) + " channels", *kernels);
    const std::vector<float> found = arg_max_of(*kernels, in, values, images);
    CHECK(found.size() == static_cast<std::size_t>(images * in.pixels()));
    for (std::size_t p = 0; p < found.size(); ++p) {
      CHECK(found[p] == naive_arg_max(&values[p * static_cast<std::size_t>(in.c)], in.c));
    }
  }
}

void test_arg_max_of_extremes() {
  const struct {
    std::vector<float> x;
    float expected;
  } cases[] = {
      {{-kInfinity, -kInfinity, -kInfinity}, 0}, {{-0.0f, 0.0f, -1}, 0},
      {{-kInfinity, -1, kInfinity}, 2},          {{1, kNan, kNan}, 1},
      {{kNan, kInfinity, 1}, 0},                 {{kInfinity, kInfinity, kNan}, 2},
  };
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case("argmax of extremes", *kernels);
    for (const auto& c : cases) {
      CHECK(arg_max_of(*kernels, {1, 1, 3}, c.x, 1) == std::vector<float>{c.expected});
    }
  }
}

void test_global_avg_pool(std::mt19937& random, const Tensor& in) {
  const int64_t images = 3;
  std::vector<float> values = draw(images * in.size(), random);
  for (float& value : values) value += 1000;  // a sum in float32 would lose digits
  const Tensor out = {1, 1, in.c, 1, 2};
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case("global average pool of " + std::to_string(in.c) + " channels", *kernels);
    Step step = {};
    step.op = Op::kGlobalAvgPool;
    const auto found = OneStep(step, in, out, nullptr, *kernels).run_checked(images, values, {});
    check_close(out, found, [&](int64_t i) {
      const int64_t image = i / in.c, c = i % in.c;
      double sum = 0;
      for (int64_t p = 0; p < in.pixels(); ++p) {
        const int64_t at = (image * in.pixels() + p) * in.c + c;
        sum += static_cast<double>(values[static_cast<std::size_t>(at)]);
      }
      const double mean = sum / static_cast<double>(in.pixels());
      return Bounded{mean, kEps * mean};  // one rounding, of the mean
    });
  }
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  for (int channels : {1, 2, 3, 15, 16, 17, 21, 33, 1000}) {
    test_arg_max(random, {4, 5, channels, 1, 2});
    test_global_avg_pool(random, {4, 5, channels, 2, 1});
  }
  test_arg_max(random, {1, 1, 21});
  test_global_avg_pool(random, {1, 1, 21});
  test_global_avg_pool(random, {15, 15, 40});
  test_arg_max_of_extremes();
}
