// The steps that are not a GEMM, on every instruction set, against their definitions in float64.
#include <algorithm>
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
#include "tolerance.h"

using namespace facegen;
using namespace facegen::test;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::nanf("");

// body(kernels) for every instruction set.
template <typename Body>
void for_each_isa(const std::string& name, Body body) {
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case(name, *kernels);
    body(*kernels);
  }
}

std::string text(const Tensor& t) {
  return std::to_string(t.h) + "x" + std::to_string(t.w) + "x" + std::to_string(t.c);
}

double value_at(const std::vector<float>& values, const Tensor& t, int64_t image, int64_t y,
                int64_t x, int64_t c) {
  return static_cast<double>(
      values[static_cast<std::size_t>(((image * t.h + y) * t.w + x) * t.c + c)]);
}

// ---- max-pool

// Outputs in ceil mode: a last, partial window counts if it starts inside the input or the front
// padding.
int pool_size(int size, int kernel, int stride, int pad, bool ceil_mode) {
  const int span = size + 2 * pad - kernel;
  if (!ceil_mode) return span / stride + 1;
  const int outputs = (span + stride - 1) / stride + 1;
  return (outputs - 1) * stride >= size + pad ? outputs - 1 : outputs;
}

void test_max_pool(std::mt19937& random, const Tensor& in, Window pool, bool ceil_mode) {
  const Tensor out = {pool_size(in.h, pool.kernel_h, pool.stride_h, pool.pad_top, ceil_mode),
                      pool_size(in.w, pool.kernel_w, pool.stride_w, pool.pad_left, ceil_mode),
                      in.c, 1, 2};
  const int64_t images = 3;
  std::vector<float> values = draw(images * in.size(), random);
  values[values.size() / 2] = kNan;
  values[values.size() / 3] = -kInfinity;
  for_each_isa("max-pool " + text(in) + " -> " + text(out), [&](const cpu::Kernels& kernels) {
    Step step = {};
    step.op = Op::kMaxPool;
    step.window = pool;
    const auto found = OneStep(step, in, out, nullptr, kernels).run_checked(images, values, {});
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto at = static_cast<int64_t>(i);
      const int64_t c = at % out.c, x = at / out.c % out.w, y = at / out.c / out.w % out.h;
      double largest = -INFINITY;
      for (int64_t ky = 0; ky < pool.kernel_h; ++ky) {
        const int64_t iy = y * pool.stride_h - pool.pad_top + ky;
        for (int64_t kx = 0; kx < pool.kernel_w; ++kx) {
          const int64_t ix = x * pool.stride_w - pool.pad_left + kx;
          if (iy < 0 || iy >= in.h || ix < 0 || ix >= in.w) continue;
          const double v = value_at(values, in, at / out.size(), iy, ix, c);
          if (v > largest || std::isnan(v)) largest = v;  // NaN stays: nothing exceeds it
        }
      }
      CHECK(std::isnan(largest) ? std::isnan(found[i]) : static_cast<double>(found[i]) == largest);
    }
  });
}

// ---- instance norm

void test_instance_norm(std::mt19937& random, const Tensor& in, float offset) {
  const Tensor out = {in.h, in.w, in.c, 3, 1};
  const int64_t images = 3;
  const float eps = 1e-5f;
  std::vector<float> values = draw(images * in.size(), random);
  for (float& value : values) value += offset;
  for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(in.c)) {
    values[i] = offset;  // channel 0: zero variance
  }
  const std::vector<float> gamma = draw(in.c, random), beta = draw(in.c, random);
  const std::vector<float> add = draw(images * in.size(), random);
  for_each_isa("instance norm " + text(in) + " + " + std::to_string(offset),
               [&](const cpu::Kernels& kernels) {
    Step step = {};
    step.op = Op::kInstanceNorm;
    step.weight = gamma.data();
    step.bias = beta.data();
    step.eps = eps;
    step.groups = in.c;
    const auto plain = OneStep(step, in, out, nullptr, kernels).run_checked(images, values, {});
    step.epilogue.activation = Activation::kRelu;
    const auto added = OneStep(step, in, out, &in, kernels).run_checked(images, values, add);
    const auto normed = [&](int64_t i) {
      const int64_t image = i / in.size(), c = i % in.c;
      const auto x = [&](int64_t p) { return value_at(values, in, image, 0, p, c); };
      double mean = 0, variance = 0;
      for (int64_t p = 0; p < in.pixels(); ++p) mean += x(p);
      mean /= static_cast<double>(in.pixels());
      for (int64_t p = 0; p < in.pixels(); ++p) variance += (x(p) - mean) * (x(p) - mean);
      variance /= static_cast<double>(in.pixels());
      const auto channel = static_cast<std::size_t>(c);
      const double scale = static_cast<double>(gamma[channel]) /
                           std::sqrt(variance + static_cast<double>(eps));
      // The mean is rounded to float32 before it is subtracted, as is the difference.
      const double centred = values[static_cast<std::size_t>(i)] - mean;
      const Bounded difference = {centred, kEps * (std::fabs(mean) + std::fabs(centred))};
      return plus(times(difference, scale), static_cast<double>(beta[channel]));
    };
    check_close(out, plain, normed);
    check_close(out, added, [&](int64_t i) {
      return activate(plus(normed(i), static_cast<double>(add[static_cast<std::size_t>(i)])),
                      Activation::kRelu, 0);
    });
    for (std::size_t i = 0; i < plain.size(); ++i) {
      const std::size_t c = i % static_cast<std::size_t>(in.c);
      if (c == 0 || in.pixels() == 1) CHECK(plain[i] == beta[c]);  // zero variance: exactly
    }
  });
}

void test_instance_norm_of_nan(std::mt19937& random) {
  const Tensor t = {4, 3, 19};
  const std::vector<float> ones(19, 1.0f), zeros(19, 0.0f);
  for (float bad : {kNan, kInfinity}) {
    std::vector<float> values = draw(2 * t.size(), random);
    const int64_t channel = 17;
    values[static_cast<std::size_t>(t.size() + 5 * t.c + channel)] = bad;  // of the second image
    for_each_isa("instance norm of " + std::to_string(bad), [&](const cpu::Kernels& kernels) {
      Step step = {};
      step.op = Op::kInstanceNorm;
      step.weight = ones.data();
      step.bias = zeros.data();
      step.groups = t.c;
      const auto found = OneStep(step, t, t, nullptr, kernels).run_checked(2, values, {});
      for (int64_t i = 0; i < 2 * t.size(); ++i) {
        const bool reached = i >= t.size() && i % t.c == channel;
        CHECK(std::isnan(found[static_cast<std::size_t>(i)]) == reached);
      }
    });
  }
}

// ---- softmax

void test_softmax(std::mt19937& random, int count, float spread) {
  const Tensor in = {2, 3, count, 1, 0}, out = {2, 3, count, 0, 2};
  std::vector<float> values = draw(3 * in.size(), random);
  for (float& value : values) value *= spread;
  for_each_isa("softmax of " + std::to_string(count) + ", +- " + std::to_string(spread),
               [&](const cpu::Kernels& kernels) {
    Step step = {};
    step.op = Op::kSoftmax;
    const auto found = OneStep(step, in, out, nullptr, kernels).run_checked(3, values, {});
    for (std::size_t row = 0; row < found.size(); row += static_cast<std::size_t>(count)) {
      const float* x = &values[row];
      const float largest = *std::max_element(x, x + count);
      double sum = 0, total = 0;
      for (int i = 0; i < count; ++i) sum += std::exp(static_cast<double>(x[i]) - largest);
      for (int i = 0; i < count; ++i) {
        const double want = std::exp(static_cast<double>(x[i]) - largest) / sum;
        const double y = static_cast<double>(found[row + static_cast<std::size_t>(i)]);
        // exp's argument is a rounded difference; exp clamps at e^-87.
        const double relative = kEps * (static_cast<double>(largest - x[i]) + 2) + 2 * kExp;
        CHECK(std::fabs(y - want) <= relative * want + 2e-38);
        total += y;
      }
      CHECK(std::fabs(total - 1) <= 2 * kEps);  // the sum is exact, one rounding a term
    }
  });
}

void test_softmax_extremes() {
  const Tensor t = {1, 1, 21};
  for_each_isa("softmax of extremes", [&](const cpu::Kernels& kernels) {
    Step step = {};
    step.op = Op::kSoftmax;
    const OneStep softmax(step, t, t, nullptr, kernels);
    const auto of = [&](float at_3, float at_20) {
      std::vector<float> x(21, 0.5f);
      x[3] = at_3;
      x[20] = at_20;
      return softmax.run_checked(1, x, {});
    };
    const float most = std::numeric_limits<float>::max();
    for (float large : {100.0f, most}) {
      const auto y = of(large, -large);
      for (std::size_t i = 0; i < 21; ++i) {
        CHECK(i == 3 ? y[i] == 1 : y[i] >= 0 && y[i] < 1e-37f);
      }
    }
    const auto shut_out = of(-kInfinity, -kInfinity);
    for (std::size_t i = 0; i < 21; ++i) {
      CHECK(i == 3 || i == 20 ? shut_out[i] < 1e-37f : std::fabs(shut_out[i] * 19 - 1) < 1e-6f);
    }
    for (const auto& y : {of(kNan, 0), of(0, kNan), of(kInfinity, 0)}) {
      for (float value : y) CHECK(std::isnan(value));
    }
  });
}

// ---- resampling

// Random terms, some of them nothing.
struct RandomTaps {
  std::vector<int32_t> positions;
  std::vector<float> weights;
  AxisTaps axis;

  RandomTaps(int out, int in, int taps, std::mt19937& random) {
    std::uniform_int_distribution<int> position(-1, in - 1);
    for (int i = 0; i < out * taps; ++i) positions.push_back(position(random));
    weights = draw(int64_t{out} * taps, random);
    axis = {taps, positions.data(), weights.data()};
  }
};

void test_resample(std::mt19937& random, const Tensor& in, int h, int w, int taps) {
  const Tensor out = {h, w, in.c, 0, 2};
  const int64_t images = 3;
  const std::vector<float> values = draw(images * in.size(), random);
  const RandomTaps rows(h, in.h, taps, random), columns(w, in.w, taps, random);
  for_each_isa("resample " + text(in) + " -> " + text(out), [&](const cpu::Kernels& kernels) {
    Step step = {};
    step.op = Op::kResample;
    step.rows = rows.axis;
    step.columns = columns.axis;
    const auto found = OneStep(step, in, out, nullptr, kernels).run_checked(images, values, {});
    check_close(out, found, [&](int64_t i) {
      const int64_t image = i / out.size(), c = i % out.c;
      const int64_t y = i / out.c / out.w % out.h, x = i / out.c % out.w;
      double sum = 0;
      for (int64_t ty = y * taps; ty < (y + 1) * taps; ++ty) {
        for (int64_t tx = x * taps; tx < (x + 1) * taps; ++tx) {
          const auto row = static_cast<std::size_t>(ty), column = static_cast<std::size_t>(tx);
          const int32_t iy = rows.positions[row], ix = columns.positions[column];
          if (iy < 0 || ix < 0) continue;
          const double weight = static_cast<double>(rows.weights[row]) *
                                static_cast<double>(columns.weights[column]);
          sum += weight * value_at(values, in, image, iy, ix, c);
        }
      }
      // Values and weights up to 1, so many roundings of sums up to taps^2.
      return Bounded{sum, kEps * 2 * taps * taps * taps};
    });
  });
}

// ---- pointwise

void test_pointwise(std::mt19937& random, int channels) {
  const Tensor in = {3, 2, channels, 2, 1}, out = {3, 2, channels, 1, 4};
  const Tensor add = {3, 2, channels, 0, 3};
  const int64_t images = 3;
  std::vector<float> values = draw(images * in.size(), random);
  const std::vector<float> addends = draw(images * in.size(), random);
  const std::vector<float> scale = draw(channels, random), shift = draw(channels, random);
  for (int terms = 0; terms < 32; ++terms) {
    const auto activation = static_cast<Activation>(terms % 4);
    for_each_isa("pointwise " + text(in) + ", terms " + std::to_string(terms),
                 [&](const cpu::Kernels& kernels) {
      Step step = {};
      step.op = Op::kPointwise;
      step.epilogue.activation = activation;
      step.epilogue.alpha = 0.2f;
      if ((terms & 4) != 0) step.epilogue.scale = scale.data();
      if ((terms & 8) != 0) step.epilogue.shift = shift.data();
      const bool adds = (terms & 16) != 0;
      const OneStep pointwise(step, in, out, adds ? &add : nullptr, kernels);
      const auto found = pointwise.run_checked(images, values, addends);
      check_close(out, found, [&](int64_t i) {
        const auto at = static_cast<std::size_t>(i), c = static_cast<std::size_t>(i % channels);
        Bounded y = {static_cast<double>(values[at]), 0};
        if (adds) y = plus(y, static_cast<double>(addends[at]));
        y = activate(y, activation, 0.2f);
        if (step.epilogue.scale != nullptr) y = times(y, static_cast<double>(scale[c]));
        if (step.epilogue.shift != nullptr) y = plus(y, static_cast<double>(shift[c]));
        return y;
      });
      if (terms == 0) CHECK(same_bits(found, values));  // a copy
    });
  }
}

void test_activations_of_extremes() {
  const float most = std::numeric_limits<float>::max();
  const float least = std::numeric_limits<float>::denorm_min();
  const std::vector<float> x = {kNan,  kInfinity, -kInfinity, 0.0f,  -0.0f,
                                most, -most,      least,      -least};
  const struct {
    Activation activation;
    std::vector<float> expected;
  } cases[] = {
      {Activation::kNone, x},
      {Activation::kRelu, {kNan, kInfinity, 0, 0, 0, most, 0, least, 0}},
      {Activation::kLeakyRelu, {kNan, kInfinity, -kInfinity, 0, 0, most, -most * 0.5f, least, 0}},
      {Activation::kTanh, {kNan, 1, -1, 0, 0, 1, -1, least, -least}},
  };
  const auto count = static_cast<int>(x.size());
  for (const auto& c : cases) {
    // At any place in a row: in whole vectors and in tails.
    for (int places = count; places <= count + 17; ++places) {
      const Tensor t = {1, 1, places};
      std::vector<float> row(static_cast<std::size_t>(places), 0.5f);
      std::copy(x.begin(), x.end(), row.end() - count);
      for_each_isa("activation " + std::to_string(static_cast<int>(c.activation)) + " of extremes",
                   [&](const cpu::Kernels& kernels) {
        Step step = {};
        step.op = Op::kPointwise;
        step.epilogue.activation = c.activation;
        step.epilogue.alpha = 0.5f;
        const auto found = OneStep(step, t, t, nullptr, kernels).run_checked(1, row, {});
        for (std::size_t i = 0; i < x.size(); ++i) {
          const float y = found[row.size() - x.size() + i], want = c.expected[i];
          CHECK(std::isnan(want) ? std::isnan(y) : y == want);
        }
      });
    }
  }
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  for (int channels : {1, 3, 16, 19, 65}) {
    const Tensor in = {13, 8, channels, 1, 2};
    test_max_pool(random, in, {3, 3, 2, 2, 0, 0}, true);  // SqueezeNet's
    test_max_pool(random, in, {3, 3, 2, 2, 0, 0}, false);
    test_max_pool(random, in, {2, 3, 1, 3, 1, 1}, true);
    test_max_pool(random, in, {2, 2, 5, 3, 0, 0}, true);  // stride beyond the kernel
    test_max_pool(random, in, {13, 8, 1, 1, 0, 0}, false);
  }
  test_max_pool(random, {1, 1, 5}, {1, 1, 1, 1, 0, 0}, false);
  test_max_pool(random, {1, 1, 5}, {3, 3, 2, 2, 1, 1}, true);
  for (const Tensor& t : {Tensor{1, 1, 1}, Tensor{1, 1, 33, 1, 2}, Tensor{2, 1, 16},
                          Tensor{5, 7, 17, 2, 0}, Tensor{16, 16, 31}}) {
    test_instance_norm(random, t, 0);
    test_instance_norm(random, t, 1000);
  }
  test_instance_norm_of_nan(random);
  for (int count : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 21, 33, 1000}) {
    for (float spread : {1.0f, 30.0f, 200.0f}) test_softmax(random, count, spread);
  }
  test_softmax_extremes();
  test_resample(random, {1, 1, 3}, 4, 5, 1);
  test_resample(random, {4, 3, 5, 2, 1}, 8, 6, 2);
  test_resample(random, {4, 3, 17}, 9, 11, 2);
  test_resample(random, {7, 5, 16}, 7, 5, 3);
  test_resample(random, {7, 5, 2, 1, 0}, 3, 2, 4);
  test_resample(random, {14, 14, 21}, 56, 31, 2);
  for (int channels : {1, 3, 16, 37}) test_pointwise(random, channels);
  test_activations_of_extremes();
}
