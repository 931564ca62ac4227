// exp and tanh of every instruction set over all magnitudes, within what isa/math.h states.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "one_step.h"
#include "tolerance.h"

using namespace facegen;
using namespace facegen::test;

namespace {

constexpr uint32_t kInfinityBits = 0x7f800000;

// Positive: a spread over all magnitudes (the stride is prime), and all values around the places
// where tanh changes its formula and where it saturates.
std::vector<float> magnitudes() {
  std::vector<float> x;
  for (uint32_t bits = 0; bits <= kInfinityBits; bits += 4099) x.push_back(from_bits(bits));
  for (int i = 0; i <= 100000; ++i) x.push_back(static_cast<float>(i) * 2e-4f);
  for (float centre : {0.625f, 8.66f, 9.0109f, 10.0f, 20.0f, 44.0f, 87.0f, 88.0f}) {
    for (uint32_t bits = bits_of(centre) - 2000; bits <= bits_of(centre) + 2000; ++bits) {
      x.push_back(from_bits(bits));
    }
  }
  x.push_back(std::numeric_limits<float>::max());
  x.push_back(from_bits(kInfinityBits));
  return x;
}

std::vector<float> tanh_of(const cpu::Kernels& kernels, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  Epilogue epilogue;
  epilogue.activation = Activation::kTanh;
  cpu::EpilogueRow row = {};
  row.sum = x.data();
  row.epilogue = &epilogue;
  row.out = y.data();
  row.columns = static_cast<int>(x.size());
  kernels.epilogue(row);
  return y;
}

void test_tanh(const cpu::Kernels& kernels) {
  std::vector<float> x = magnitudes(), negative = x;
  for (float& value : negative) value = -value;
  const std::vector<float> y = tanh_of(kernels, x), mirrored = tanh_of(kernels, negative);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double exact = std::tanh(static_cast<double>(x[i]));
    CHECK(std::fabs(static_cast<double>(y[i]) - exact) <= kTanh);
    CHECK(y[i] >= 0 && y[i] <= 1);
    CHECK(mirrored[i] == -y[i]);
    // Small arguments keep their relative accuracy, down to the subnormals.
    if (x[i] < 0.625f) CHECK(std::fabs(static_cast<double>(y[i]) - exact) <= 2 * kEps * exact);
  }
  CHECK(y.back() == 1);
  const std::vector<float> nans(37, std::nanf(""));
  for (float value : tanh_of(kernels, nans)) CHECK(std::isnan(value));
}

// softmax of (0, x): e^x / (1 + e^x) for x <= 0, so the ratio of the two is exp's own.
void test_exp(const cpu::Kernels& kernels) {
  for (float magnitude : magnitudes()) {
    if (!std::isfinite(magnitude)) continue;
    const float in[2] = {0.0f, -magnitude};
    float out[2];
    kernels.softmax(in, out, 2, false);
    const double exact = std::exp(-static_cast<double>(magnitude));
    const double ratio = static_cast<double>(out[1]) / static_cast<double>(out[0]);
    const double bound = (kExp + 2 * kEps) * exact;
    // Below e^-87 (1.6e-38): no more than that, and not negative.
    CHECK(magnitude <= 87 ? std::fabs(ratio - exact) <= bound : ratio >= 0 && ratio < 1.7e-38);
  }
}

// A value does not depend on where in a row it stands.
void test_places(const cpu::Kernels& kernels) {
  const std::vector<float> x = {0.1f, -0.7f, 3.0f, -12.0f, 0.62f};
  const std::vector<float> alone = tanh_of(kernels, {x[1]});
  for (int before = 0; before < 40; ++before) {
    std::vector<float> row(static_cast<std::size_t>(before), 0.3f);
    row.insert(row.end(), x.begin(), x.end());
    const std::vector<float> y = tanh_of(kernels, row);
    CHECK(bits_of(y[static_cast<std::size_t>(before) + 1]) == bits_of(alone[0]));
  }
}

}  // namespace

int main() {
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case("tanh", *kernels);
    test_tanh(*kernels);
    begin_case("exp", *kernels);
    test_exp(*kernels);
    begin_case("places in a row", *kernels);
    test_places(*kernels);
  }
}
