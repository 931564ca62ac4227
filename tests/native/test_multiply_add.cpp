// One arithmetic: what a kernel adds to a product is rounded once together with it wherever the
// instruction set has fused multiply-adds, twice on `portable`, and terms are added in the order of
// the reduction. So the bits of every kernel are known beforehand, in tiles of every height and
// width: here they are compared with plain loops. Whatever a compiler fuses or takes apart on its
// own shows, and so does a tile whose sums differ from those of another.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "cpu/memory.h"
#include "cpu/winograd_transform.h"
#include "one_step.h"

using namespace facegen;
using namespace facegen::test;

namespace {

using cpu::Kernels;
using cpu::kMaxDepth;

// a * b + c.
struct Arithmetic {
  bool fused;

  template <typename Real>
  Real operator()(Real a, Real b, Real c) const {
    if (fused) return std::fma(a, b, c);
    const volatile Real product = a * b;
    return product + c;
  }
};

Arithmetic arithmetic_of(const Kernels& kernels) {
  return {std::string(kernels.isa) != "portable"};
}

template <typename Value>
bool equal_bits(const std::vector<Value>& a, const std::vector<Value>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(Value)) == 0;
}

// `definition(arithmetic)` gives the expected values; `differs`: they tell the two arithmetics apart.
template <typename Value, typename Definition>
void check(const Kernels& kernels, const std::vector<Value>& found, bool differs,
           Definition definition) {
  const Arithmetic own = arithmetic_of(kernels);
  const std::vector<Value> expected = definition(own);
  CHECK(equal_bits(found, expected));
  if (differs) CHECK(!equal_bits(expected, definition(Arithmetic{!own.fused})));
}

std::size_t index(int64_t i) { return static_cast<std::size_t>(i); }

// ---- C (rows, columns) = or += A (rows, depth) * B (columns, depth)

struct Product {
  int rows, columns, depth;
  std::vector<float> a, b, before;

  Product(int rows_, int columns_, int depth_, std::mt19937& random)
      : rows(rows_),
        columns(columns_),
        depth(depth_),
        a(draw(int64_t{1} * rows * depth, random)),
        b(draw(int64_t{1} * columns * depth, random)),
        before(draw(int64_t{1} * rows * columns, random)) {}

  std::vector<float> sums(Arithmetic multiply_add, bool accumulate) const {
    std::vector<float> c = before;
    for (int r = 0; r < rows; ++r) {
      for (int n = 0; n < columns; ++n) {
        float sum = 0;
        for (int k = 0; k < depth; ++k) {
          sum = multiply_add(a[index(r * depth + k)], b[index(n * depth + k)], sum);
        }
        float& out = c[index(r * columns + n)];
        out = accumulate ? out + sum : sum;
      }
    }
    return c;
  }
};

cpu::AlignedArray<char> packed(const Kernels& kernels, const Product& p) {
  const int panels = p.columns / kernels.panel_columns;
  auto panels_memory = cpu::allocate_aligned<char>(panels * kernels.weight_panel_bytes(p.depth));
  const int64_t no_offset = 0;
  kernels.pack({p.b.data(), p.depth, &no_offset, p.columns}, {1, p.depth}, panels_memory.get());
  return panels_memory;
}

std::vector<float> multiplied(const Kernels& kernels, const Product& p, const char* weights,
                              bool accumulate) {
  const auto panel = cpu::allocate_aligned<char>(kernels.row_panel_bytes(p.depth));
  std::vector<const float*> sources;
  std::vector<float> c = p.before;
  std::vector<float*> rows;
  for (int r = 0; r < p.rows; ++r) {
    sources.push_back(&p.a[index(r * p.depth)]);
    rows.push_back(&c[index(r * p.columns)]);
  }
  kernels.gather(sources.data(), p.rows, p.rows, {1, p.depth}, panel.get());
  if (kernels.begin_task != nullptr) kernels.begin_task();
  kernels.multiply(p.rows, p.depth, panel.get(), weights, p.columns / kernels.panel_columns,
                   rows.data(), accumulate);
  if (kernels.end_task != nullptr) kernels.end_task();
  return c;
}

void test_multiply(const Kernels& kernels, std::mt19937& random) {
  for (int panels = 1; panels <= 7; ++panels) {
    for (int depth : {1, 2, 9, 36, 129}) {
      begin_case("multiply, " + std::to_string(panels) + " panels, depth " + std::to_string(depth),
                 kernels);
      const Product all(kernels.tile_rows, panels * kernels.panel_columns, depth, random);
      const auto weights = packed(kernels, all);
      for (const bool accumulate : {false, true}) {
        const std::vector<float> tallest = multiplied(kernels, all, weights.get(), accumulate);
        if (!kernels.split_products) {
          check(kernels, tallest, depth > 2,
                [&](Arithmetic arithmetic) { return all.sums(arithmetic, accumulate); });
        }
        // A row's bits are the same in a tile of any height.
        for (int rows = 1; rows < all.rows; ++rows) {
          Product some = all;
          some.rows = rows;
          some.before.resize(index(int64_t{1} * rows * all.columns));
          const std::vector<float> c = multiplied(kernels, some, weights.get(), accumulate);
          CHECK(std::equal(c.begin(), c.end(), tallest.begin(),
                           [](float x, float y) { return bits_of(x) == bits_of(y); }));
        }
      }
    }
  }
}

void test_multiply_rows(const Kernels& kernels, std::mt19937& random) {
  if (kernels.multiply_rows == nullptr) return;
  for (int rows = 1; rows <= 2 * kernels.tile_rows + 1; ++rows) {
    for (int panels = 1; panels <= 7; ++panels) {
      begin_case("multiply_rows, " + std::to_string(rows) + " rows, " + std::to_string(panels) +
                     " panels", kernels);
      const Product p(rows, panels * kernels.panel_columns, 37, random);
      const auto weights = packed(kernels, p);
      std::vector<float> a(index(int64_t{1} * rows * kMaxDepth));
      for (int r = 0; r < rows; ++r) {
        std::copy_n(&p.a[index(r * p.depth)], p.depth, &a[index(r * kMaxDepth)]);
      }
      for (const bool accumulate : {false, true}) {
        std::vector<float> c = p.before;
        kernels.multiply_rows({rows, p.depth, a.data(), weights.get(), panels, c.data(), p.columns,
                               accumulate, weights.get()});
        check(kernels, c, true,
              [&](Arithmetic arithmetic) { return p.sums(arithmetic, accumulate); });
      }
    }
  }
}

void test_direct_multiply(const Kernels& kernels, std::mt19937& random) {
  constexpr int kRuns = 3, kRunFloats = 7, kDepth = kRuns * kRunFloats;
  const int lanes = kernels.lanes;
  for (int rows = 1; rows <= 29; ++rows) {
    for (int panels = 1; panels <= 5; ++panels) {
      begin_case("direct_multiply, " + std::to_string(rows) + " rows, " + std::to_string(panels) +
                     " panels", kernels);
      const Product p(rows, panels * lanes, kDepth, random);
      std::vector<float> weights(index(int64_t{1} * kDepth * p.columns));
      std::vector<int> first_run;
      std::vector<cpu::LaneRun> lane_runs;
      for (int panel = 0; panel <= panels; ++panel) first_run.push_back(panel);
      for (int panel = 0; panel < panels; ++panel) {
        lane_runs.push_back({0, lanes, int64_t{panel} * lanes, 0});
        for (int k = 0; k < kDepth; ++k) {
          for (int lane = 0; lane < lanes; ++lane) {
            weights[index((panel * kDepth + k) * lanes + lane)] =
                p.b[index((panel * lanes + lane) * kDepth + k)];
          }
        }
      }
      std::vector<float> c(p.before.size());
      cpu::DirectLine line = {};
      line.in = p.a.data();
      line.in_stride = kDepth;
      line.rows = rows;
      line.runs = kRuns;
      line.run_floats = line.run_stride = kRunFloats;
      line.weights = weights.data();
      line.panel_floats = int64_t{kDepth} * lanes;
      line.panels = panels;
      line.first_run = first_run.data();
      line.lane_runs = lane_runs.data();
      line.out = c.data();
      line.out_stride = p.columns;
      kernels.direct_multiply(line);
      check(kernels, c, true, [&](Arithmetic arithmetic) { return p.sums(arithmetic, false); });
    }
  }
}

// ---- layers with 1 to 4 output channels

void test_thin_multiply(const Kernels& kernels, std::mt19937& random) {
  constexpr int kChannels = 3;
  const std::vector<int64_t> taps = {0, 1, 5, 6, 11};
  const int width = kernels.thin_vectors * kernels.lanes;
  const int64_t channel_stride = width + 12;
  for (int columns = 1; columns <= 4; ++columns) {
    begin_case("thin_multiply, " + std::to_string(columns) + " columns", kernels);
    const std::vector<float> in = draw(kChannels * channel_stride, random);
    const std::vector<float> weights = draw(15 * columns, random);
    const std::vector<float> before = draw(columns * width, random);
    std::vector<const float*> pixels;
    for (int v = 0; v < kernels.thin_vectors; ++v) pixels.push_back(&in[index(v * kernels.lanes)]);
    for (const bool accumulate : {false, true}) {
      std::vector<float> sums = before;
      kernels.thin_multiply({pixels.data(), channel_stride, kChannels, taps.data(),
                             static_cast<int>(taps.size()), weights.data(), columns, sums.data(),
                             accumulate});
      check(kernels, sums, true, [&](Arithmetic multiply_add) {
        std::vector<float> expected = before;
        for (int n = 0; n < columns; ++n) {
          for (int x = 0; x < width; ++x) {
            float sum = 0;
            const float* weight = &weights[index(n)];
            for (int channel = 0; channel < kChannels; ++channel) {
              for (const int64_t tap : taps) {
                sum = multiply_add(*weight, in[index(channel * channel_stride + x + tap)], sum);
                weight += columns;
              }
            }
            float& out = expected[index(n * width + x)];
            out = accumulate ? out + sum : sum;
          }
        }
        return expected;
      });
    }
  }
}

// ---- Winograd's transforms

// The sum of factor[i] * x[i] where factor[i] is not zero.
template <typename Factor, typename X>
float weighted_sum(int count, Factor factor, X x, Arithmetic multiply_add) {
  float sum = 0;
  bool started = false;
  for (int i = 0; i < count; ++i) {
    const auto f = static_cast<float>(factor(i));
    if (f == 0) continue;
    sum = started ? multiply_add(f, x(i), sum) : f * x(i);
    started = true;
  }
  return sum;
}

void test_winograd_input(const Kernels& kernels, std::mt19937& random) {
  constexpr int kRows = 3, kChannels = 37, kMost = cpu::kWinogradPoints;
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
      cpu::WinogradInput input = {};
      input.pixels = pixels.data();
      input.rows = kRows;
      input.terms = terms;
      for (int t = 0; t < terms; ++t) {
        input.term_row[t] = (t + 1) % points;
        input.term_factor[t] = draw(1, random)[0];
      }
      input.points = input.used_points = points;
      input.channels = kChannels;
      input.panels = panel.data();
      kernels.winograd_input(input);
      const auto matrix = cpu::winograd_transform(kOutputs[points], kTaps[points]);
      check(kernels, panels, terms > 1 || points > 4, [&](Arithmetic multiply_add) {
        std::vector<float> expected(panels.size());
        for (int r = 0; r < kRows; ++r) {
          for (int c = 0; c < kChannels; ++c) {
            float d[kMost];
            for (int x = 0; x < points; ++x) {
              d[x] = weighted_sum(
                  terms, [&](int t) { return input.term_factor[t]; },
                  [&](int t) {
                    return pixels[index((r * kMost + input.term_row[t]) * kMost + x)][c];
                  },
                  multiply_add);
            }
            for (int p = 0; p < points; ++p) {
              expected[index((p * kRows + r) * kMaxDepth + c)] = weighted_sum(
                  points, [&](int i) { return matrix.input[p][i]; }, [&](int i) { return d[i]; },
                  multiply_add);
            }
          }
        }
        return expected;
      });
    }
  }
}

void test_winograd_output(const Kernels& kernels, std::mt19937& random) {
  constexpr int kMost = cpu::kWinogradPoints;
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
        const auto along_x = cpu::winograd_transform(outputs, taps_x);
        const auto along_y = cpu::winograd_transform(outputs, taps_y);
        check(kernels, sums, points_y > 4 || points_x > 4, [&](Arithmetic multiply_add) {
          std::vector<float> expected(sums.size());
          for (int x = 0; x < outputs; ++x) {
            for (int c = 0; c < columns; ++c) {
              float line[kMost];
              for (int py = 0; py < points_y; ++py) {
                line[py] = weighted_sum(
                    points_x, [&](int i) { return along_x.output[x][i]; },
                    [&](int i) { return products[index((py * points_x + i) * columns + c)]; },
                    multiply_add);
              }
              for (int y = 0; y < outputs; ++y) {
                expected[index((y * outputs + x) * columns + c)] = weighted_sum(
                    points_y, [&](int i) { return along_y.output[y][i]; },
                    [&](int i) { return line[i]; }, multiply_add);
              }
            }
          }
          return expected;
        });
      }
    }
  }
}

// ---- row by row

void test_moments(const Kernels& kernels, std::mt19937& random) {
  constexpr int64_t kPixels = 23;
  for (int channels = 1; channels <= 70; ++channels) {
    begin_case("moments, " + std::to_string(channels) + " channels", kernels);
    const std::vector<float> in = draw(kPixels * channels, random);
    // Values near one another, so that squares of differences have more digits than a double.
    std::vector<float> spread = in;
    for (float& value : spread) value = std::ldexp(value, static_cast<int>(random() % 30) - 15);
    std::vector<double> sum(index(channels)), squares(index(channels));
    kernels.moments(spread.data(), channels, kPixels, channels, sum.data(), squares.data());
    check(kernels, squares, channels >= 8, [&](Arithmetic multiply_add) {
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
}

void test_blend(const Kernels& kernels, std::mt19937& random) {
  for (int count = 1; count <= 70; ++count) {
    begin_case("blend, " + std::to_string(count) + " values", kernels);
    const std::vector<float> a = draw(count, random), b = draw(count, random);
    const float wa = 0.3f, wb = 0.7f;
    std::vector<float> found(index(count));
    kernels.blend(a.data(), wa, b.data(), wb, found.data(), count);
    check(kernels, found, count >= 40, [&](Arithmetic multiply_add) {
      std::vector<float> expected;
      for (int i = 0; i < count; ++i) {
        expected.push_back(multiply_add(wa, a[index(i)], b[index(i)] * wb));
      }
      return expected;
    });
  }
}

// isa/math.h, for finite x: |x| < 44.
float exp_of(float x, Arithmetic multiply_add) {
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

float tanh_of(float x, Arithmetic multiply_add) {
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
  for (const float range : {0.6f, 8.0f, 30.0f}) {
    begin_case("tanh below " + std::to_string(range), kernels);
    std::vector<float> x = draw(5003, random), found(x.size());
    for (float& value : x) value *= range;
    cpu::EpilogueRow row = {};
    row.sum = x.data();
    row.activation = Activation::kTanh;
    row.out = found.data();
    row.columns = static_cast<int>(x.size());
    kernels.epilogue(row);
    check(kernels, found, true, [&](Arithmetic multiply_add) {
      std::vector<float> expected;
      for (const float value : x) expected.push_back(tanh_of(value, multiply_add));
      return expected;
    });
  }
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  for (const Kernels* kernels : cpu::available_kernels()) {
    test_multiply(*kernels, random);
    test_multiply_rows(*kernels, random);
    test_direct_multiply(*kernels, random);
    test_thin_multiply(*kernels, random);
    test_winograd_input(*kernels, random);
    test_winograd_output(*kernels, random);
    test_moments(*kernels, random);
    test_blend(*kernels, random);
    test_tanh(*kernels, random);
  }
}
