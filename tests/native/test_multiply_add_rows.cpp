// One arithmetic row by row: Winograd's transforms, moments, blend and tanh, whose bits are known
// beforehand as test_multiply_add.cpp says.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "multiply_add.h"
#include "one_step.h"
#include "winograd_transform.h"

using namespace facegen;
using namespace facegen::test;

namespace {

using cpu::Kernels;
using cpu::kMaxDepth;

// ---- Winograd's transforms

// The sum of factors[i] * x[i] where factors[i] is not zero.
float weighted_sum(const std::vector<float>& factors, const std::vector<float>& x,
                   MultiplyAdd multiply_add) {
  float sum = 0;
  bool started = false;
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (factors[i] == 0) continue;
    sum = started ? multiply_add(factors[i], x[i], sum) : factors[i] * x[i];
    started = true;
  }
  return sum;
}

std::vector<float> first_of(const double* row, int count) { return {row, row + count}; }

void test_winograd_input(const Kernels& kernels, std::mt19937& random) {
  bool differs = false;
  constexpr int kRows = 3, kChannels = 37, kMost = kWinogradPoints;
  constexpr int kOutputs[] = {0, 0, 0, 2, 2, 4, 4}, kTaps[] = {0, 0, 0, 2, 3, 2, 3};
  for (int points = 3; points <= kMost; ++points) {
    for (int terms = 1; terms <= 4; ++terms) {
      begin_case("winograd_input, " + std::to_string(points) + " points, " + std::to_string(terms) +
                     " terms", kernels);
      const std::vector<float> maps = draw(kRows * kMost * kMost * kChannels, random);
      std::vector<const float*> pixels;
      for (int i = 0; i < kRows * kMost * kMost; ++i) pixels.push_back(&maps[index(i * kChannels)]);
      std::vector<float> panels(index(points * kRows * kMaxDepth));
      std::vector<float*> panel;
      for (int p = 0; p < points; ++p) panel.push_back(&panels[index(p * kRows * kMaxDepth)]);
      const std::vector<float> factors = draw(terms, random);
      cpu::WinogradInput input = {};
      input.pixels = pixels.data();
      input.rows = kRows;
      input.terms = terms;
      for (int t = 0; t < terms; ++t) {
        input.term_row[t] = (t + 1) % points;
        input.term_factor[t] = factors[index(t)];
      }
      input.points = input.used_points = points;
      input.channels = kChannels;
      input.panels = panel.data();
      kernels.winograd_input(input);
      const auto matrix = winograd_transform(kOutputs[points], kTaps[points]);
      differs |= check_bits(kernels, panels, [&](MultiplyAdd multiply_add) {
        std::vector<float> expected(panels.size());
        for (int r = 0; r < kRows; ++r) {
          for (int c = 0; c < kChannels; ++c) {
            std::vector<float> line;  // the terms' sum at each point along x
            for (int x = 0; x < points; ++x) {
              std::vector<float> term;
              for (int t = 0; t < terms; ++t) {
                term.push_back(pixels[index((r * kMost + input.term_row[t]) * kMost + x)][c]);
              }
              line.push_back(weighted_sum(factors, term, multiply_add));
            }
            for (int p = 0; p < points; ++p) {
              expected[index((p * kRows + r) * kMaxDepth + c)] =
                  weighted_sum(first_of(matrix.input[p], points), line, multiply_add);
            }
          }
        }
        return expected;
      });
    }
  }
  CHECK(differs);
}

void test_winograd_output(const Kernels& kernels, std::mt19937& random) {
  bool differs = false;
  constexpr int kMost = kWinogradPoints;
  const int columns = 3 * kernels.lanes;
  for (const int outputs : {2, 4}) {
    const int most_taps = kMost + 1 - outputs;
    for (int taps_y = 2; taps_y <= most_taps; ++taps_y) {
      for (int taps_x = 2; taps_x <= most_taps; ++taps_x) {
        begin_case("winograd_output, " + std::to_string(outputs) + " outputs, " +
                       std::to_string(taps_y) + "x" + std::to_string(taps_x) + " taps", kernels);
        const int points_y = outputs + taps_y - 1, points_x = outputs + taps_x - 1;
        const std::vector<float> products = draw(points_y * points_x * columns, random);
        std::vector<float> sums(index(outputs * outputs * columns));
        kernels.winograd_output(
            {products.data(), columns, outputs, taps_y, taps_x, columns, sums.data()});
        const auto along_x = winograd_transform(outputs, taps_x);
        const auto along_y = winograd_transform(outputs, taps_y);
        differs |= check_bits(kernels, sums, [&](MultiplyAdd multiply_add) {
          std::vector<float> expected(sums.size());
          for (int x = 0; x < outputs; ++x) {
            for (int c = 0; c < columns; ++c) {
              std::vector<float> line;  // the sum over x at each point along y
              for (int py = 0; py < points_y; ++py) {
                std::vector<float> row;
                for (int px = 0; px < points_x; ++px) {
                  row.push_back(products[index((py * points_x + px) * columns + c)]);
                }
                line.push_back(
                    weighted_sum(first_of(along_x.output[x], points_x), row, multiply_add));
              }
              for (int y = 0; y < outputs; ++y) {
                expected[index((y * outputs + x) * columns + c)] =
                    weighted_sum(first_of(along_y.output[y], points_y), line, multiply_add);
              }
            }
          }
          return expected;
        });
      }
    }
  }
  CHECK(differs);
}

// ---- row by row

void test_moments(const Kernels& kernels, std::mt19937& random) {
  bool differs = false;
  constexpr int64_t kPixels = 23;
  for (int channels = 1; channels <= 70; ++channels) {
    begin_case("moments, " + std::to_string(channels) + " channels", kernels);
    const std::vector<float> in = draw(kPixels * channels, random);
    // Of several magnitudes, so that squares of differences have more digits than a double.
    std::vector<float> spread = in;
    for (float& value : spread) value = std::ldexp(value, static_cast<int>(random() % 30) - 15);
    std::vector<double> sum(index(channels)), squares(index(channels));
    kernels.moments(spread.data(), channels, kPixels, channels, sum.data(), squares.data());
    differs |= check_bits(kernels, squares, [&](MultiplyAdd multiply_add) {
      std::vector<double> expected(index(channels));
      for (int c = 0; c < channels; ++c) {
        for (int64_t p = 0; p < kPixels; ++p) {
          const double x = static_cast<double>(spread[index(p * channels + c)]) -
                           static_cast<double>(spread[index(c)]);
          expected[index(c)] = multiply_add(x, x, expected[index(c)]);
        }
      }
      return expected;
    });
  }
  CHECK(differs);
}

// From the last term to the first: the last alone is a plain product.
void test_weighted_sum(const Kernels& kernels, std::mt19937& random) {
  bool differs = false;
  for (int count = 1; count <= 70; ++count) {
    for (int terms = 1; terms <= 4; ++terms) {
      begin_case("weighted sum, " + std::to_string(count) + " values of " + std::to_string(terms),
                 kernels);
      const std::vector<float> weights = draw(terms, random);
      std::vector<std::vector<float>> rows;
      std::vector<const float*> from;
      for (int t = 0; t < terms; ++t) rows.push_back(draw(count, random));
      for (const std::vector<float>& row : rows) from.push_back(row.data());
      std::vector<float> found(index(count));
      kernels.weighted_sum(from.data(), weights.data(), terms, found.data(), count);
      differs |= check_bits(kernels, found, [&](MultiplyAdd multiply_add) {
        std::vector<float> expected;
        for (int i = 0; i < count; ++i) {
          float sum = rows.back()[index(i)] * weights.back();
          for (int t = terms - 2; t >= 0; --t) {
            sum = multiply_add(weights[index(t)], rows[index(t)][index(i)], sum);
          }
          expected.push_back(sum);
        }
        return expected;
      });
    }
  }
  CHECK(differs);
}

// isa/math.h, for finite x: |x| < 44.
float exp_of(float x, MultiplyAdd multiply_add) {
  const float magic = 12582912.0f;
  const float n = multiply_add(1.44269504088896341f, x, magic) - magic;
  float r = multiply_add(-0.693359375f, n, x);
  r = multiply_add(2.12194440e-4f, n, r);
  float p = 1.9875691500e-4f;
  for (const float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
                        5.0000001201e-1f}) {
    p = multiply_add(p, r, c);
  }
  p = multiply_add(p * r, r, r) + 1.0f;
  return std::ldexp(p, static_cast<int>(n));
}

float tanh_of(float x, MultiplyAdd multiply_add) {
  const float magnitude = std::fabs(x), z = x * x;
  if (magnitude < 0.625f) {
    float p = -5.70498872745e-3f;
    for (const float c : {2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f,
                          -3.33332819422e-1f}) {
      p = multiply_add(p, z, c);
    }
    return multiply_add(p * z, x, x);
  }
  const float doubled = std::min(magnitude, 20.0f) * 2.0f;
  return std::copysign(1.0f - 2.0f / (exp_of(doubled, multiply_add) + 1.0f), x);
}

void test_tanh(const Kernels& kernels, std::mt19937& random) {
  bool differs = false;
  for (const float range : {0.6f, 8.0f, 30.0f}) {
    begin_case("tanh below " + std::to_string(range), kernels);
    std::vector<float> x = draw(5003, random), found(x.size());
    for (float& value : x) value *= range;
    Epilogue epilogue;
    epilogue.activation = Activation::kTanh;
    cpu::EpilogueRow row = {};
    row.sum = x.data();
    row.epilogue = &epilogue;
    row.out = found.data();
    row.columns = static_cast<int>(x.size());
    kernels.epilogue(row);
    differs |= check_bits(kernels, found, [&](MultiplyAdd multiply_add) {
      std::vector<float> expected;
      for (const float value : x) expected.push_back(tanh_of(value, multiply_add));
      return expected;
    });
  }
  CHECK(differs);
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  for (const Kernels* kernels : cpu::available_kernels()) {
    test_winograd_input(*kernels, random);
    test_winograd_output(*kernels, random);
    test_moments(*kernels, random);
    test_weighted_sum(*kernels, random);
    test_tanh(*kernels, random);
  }
}
