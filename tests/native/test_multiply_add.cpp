// One arithmetic in every tile: what a kernel adds to a product is rounded once together with it
// wherever the instruction set has fused multiply-adds, twice on `portable`, and terms are added in
// the order of the reduction. So the bits of every kernel are known beforehand, in tiles of every
// height and width: here those that multiply matrices are compared with plain loops, the others in
// test_multiply_add_rows.cpp. Whatever a compiler fuses or takes apart on its own shows, and so
// does a tile whose sums differ from those of another.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "all_kernels.h"
#include "check.h"
#include "cpu/dispatch.h"
#include "cpu/memory.h"
#include "multiply_add.h"
#include "one_step.h"

using namespace facegen;
using namespace facegen::test;

namespace {

using cpu::Kernels;
using cpu::kMaxDepth;

// ---- what the kernels are compared with

// (1 + tiny) * (1 + tiny) = 1 + 2 tiny + tiny^2, and half a unit of the last digit.
template <typename Real>
void check_tie(Real tiny, Real half, Real unit) {
  const MultiplyAdd once = {true}, twice = {false};
  const Real x = 1 + tiny, without_last = 1 + 2 * tiny;
  CHECK(once(x, x, half) == without_last + unit);  // above the tie, be it by tiny^2
  CHECK(twice(x, x, half) == without_last);        // a tie, whose last digit becomes even
  CHECK(once(-x, x, -half) == -without_last - unit);
  CHECK(once(x, x, -without_last) == tiny * tiny);
  CHECK(twice(x, x, -without_last) == 0);
}

void test_arithmetic(std::mt19937& random) {
  check_tie(0x1p-13f, 0x1p-24f, 0x1p-23f);
  check_tie(0x1p-30, 0x1p-53, 0x1p-52);
  check_tie(0x1p-40, 0x1p-53, 0x1p-52);  // MinGW's std::fma gives 1 + 2^-39
  const MultiplyAdd once = {true};
  for (int i = 0; i < 100'000; ++i) {
    const std::vector<float> x = draw(3, random);
    const float c = std::ldexp(x[2], static_cast<int>(random() % 64) - 32);
    // A double holds the product, and its sum with c unless that is far smaller or larger.
    const double product = static_cast<double>(x[0]) * static_cast<double>(x[1]);
    const auto [sum, lost] = exact_sum(product, static_cast<double>(c));
    if (lost == 0) CHECK(once(x[0], x[1], c) == static_cast<float>(sum));
  }
}

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

  std::vector<float> sums(MultiplyAdd multiply_add, bool accumulate) const {
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
  const std::vector<float> ones(index(p.depth), 1.0f);  // scales of channels
  std::vector<const float*> sources;
  std::vector<float> c = p.before;
  std::vector<float*> rows;
  for (int r = 0; r < p.rows; ++r) {
    sources.push_back(&p.a[index(r * p.depth)]);
    rows.push_back(&c[index(r * p.columns)]);
  }
  kernels.gather(sources.data(), p.rows, p.rows, {1, p.depth}, ones.data(),
                 panel.get());
  if (kernels.begin_task != nullptr) kernels.begin_task();
  kernels.multiply(p.rows, p.depth, panel.get(), weights, p.columns / kernels.panel_columns,
                   rows.data(), accumulate);
  if (kernels.end_task != nullptr) kernels.end_task();
  return c;
}

void test_multiply(const Kernels& kernels, std::mt19937& random) {
  bool differs = false;
  for (int panels = 1; panels <= 7; ++panels) {
    for (int depth : {1, 2, 9, 36, 129}) {
      begin_case("multiply, " + std::to_string(panels) + " panels, depth " + std::to_string(depth),
                 kernels);
      const Product all(kernels.tile_rows, panels * kernels.panel_columns, depth, random);
      const auto weights = packed(kernels, all);
      for (const bool accumulate : {false, true}) {
        const std::vector<float> tallest = multiplied(kernels, all, weights.get(), accumulate);
        if (kernels.products == cpu::Products::kFloat32) {
          differs |= check_bits(kernels, tallest, [&](MultiplyAdd multiply_add) {
            return all.sums(multiply_add, accumulate);
          });
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
  CHECK(differs || kernels.products != cpu::Products::kFloat32);
}

void test_multiply_rows(const Kernels& kernels, std::mt19937& random) {
  if (kernels.multiply_rows == nullptr) return;
  bool differs = false;
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
        differs |= check_bits(
            kernels, c, [&](MultiplyAdd multiply_add) { return p.sums(multiply_add, accumulate); });
      }
    }
  }
  CHECK(differs);
}

void test_direct_multiply(const Kernels& kernels, std::mt19937& random) {
  bool differs = false;
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
      differs |= check_bits(
          kernels, c, [&](MultiplyAdd multiply_add) { return p.sums(multiply_add, false); });
    }
  }
  CHECK(differs);
}

// ---- layers with 1 to 4 output channels

void test_thin_multiply(const Kernels& kernels, std::mt19937& random) {
  bool differs = false;
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
      differs |= check_bits(kernels, sums, [&](MultiplyAdd multiply_add) {
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
  CHECK(differs);
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  test_arithmetic(random);
  for (const Kernels* kernels : all_kernels()) test_multiply(*kernels, random);
  for (const Kernels* kernels : cpu::available_kernels()) {
    test_multiply_rows(*kernels, random);
    test_direct_multiply(*kernels, random);
    test_thin_multiply(*kernels, random);
  }
}
