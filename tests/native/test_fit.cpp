// How layers are cut for GPUs, without one: a plan of the Hopper GEMM, run tile by tile in float64,
// is the layer by its definition; 16-bit floats are rounded to nearest.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "check.h"
#include "cuda/fit/gemm_plan.h"
#include "cuda/fit/step_fit.h"
#include "cuda/fit/split.h"
#include "gemm_layer.h"
#include "one_step.h"

using namespace facegen;
using namespace facegen::test;
namespace hopper = facegen::cuda::hopper;

namespace {

float half_value(uint16_t bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  if (exponent == 31) return mantissa ? std::nanf("") : bits & 0x8000 ? -INFINITY : INFINITY;
  const float size = exponent ? std::ldexp(1024.0f + static_cast<float>(mantissa), exponent - 25)
                              : std::ldexp(static_cast<float>(mantissa), -24);
  return bits & 0x8000 ? -size : size;
}

void test_half() {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = half_value(half);
    if (std::isnan(value)) {
      CHECK(std::isnan(half_value(cuda::half_bits(value))));
      continue;
    }
    CHECK(cuda::half_bits(value) == half);
    if ((half & 0x7FFF) >= 0x7BFF) continue;
    // Between it and the next: the middle goes to the even one.
    const auto next = static_cast<uint16_t>(half + 1);
    const float middle = 0.5f * value + 0.5f * half_value(next);
    CHECK(cuda::half_bits(middle) == (half % 2 == 0 ? half : next));
    CHECK(cuda::half_bits(std::nextafter(middle, value)) == half);
    CHECK(cuda::half_bits(std::nextafter(middle, half_value(next))) == next);
  }
  CHECK(cuda::half_bits(65519.0f) == 0x7BFF && cuda::half_bits(65520.0f) == 0x7C00);
}

// A packed weight: of a channel and a column of the tap's tile.
double weight_of(const hopper::Plan& plan, const hopper::Group& group, const hopper::Tap& tap,
                 int channel, int column) {
  const int rows = tap.blocks * hopper::kBlockChannels, planes = plan.half ? 1 : 2;
  const int block = channel / hopper::kBlockChannels - tap.first_block, k = channel % hopper::kBlockChannels;
  const int in_block = column % 32;
  const int r = column / 32 * 32 + in_block % 8 / 2 * 8 + in_block / 8 * 2 + in_block % 2;
  const auto kib = static_cast<std::size_t>(group.first_kib) + tap.weights_kib;
  const uint16_t* at = plan.weights.data() + kib * 512 +
                       block * planes * rows * hopper::kBlockChannels + r * hopper::kBlockChannels +
                       ((k / 8) ^ (r % 8)) * 8 + k % 8;
  if (plan.half) return static_cast<double>(half_value(*at));
  return static_cast<double>(cuda::bfloat16_value(at[0])) +
         static_cast<double>(cuda::bfloat16_value(at[rows * hopper::kBlockChannels]));
}

struct Case {
  Layer layer;
  Data data;
  std::vector<Phase> phases;
  Step step;  // its phases and weights are those above
};

Case make_case(const Layer& layer, int centre_channels) {
  std::mt19937 random(seed());
  Case made = {layer, draw_data(layer, random), phases_of(layer), {}};
  const int taps = layer.y.kernel * layer.x.kernel;
  const int centre = layer.y.pad_front * layer.x.kernel + layer.x.pad_front;
  for (int k = 0; k < centre_channels * taps; ++k) {
    if (k % taps == centre) continue;
    std::fill_n(made.data.weight.begin() + int64_t{k} * layer.in.c, layer.in.c, 0.0f);
  }
  made.step = step_of(layer, made.data, made.phases, Algorithm::kAuto);
  made.step.in = layer.in.view(0);
  made.step.out = layer.out.view(1);
  for (View* view : {&made.step.in, &made.step.out}) view->pixel_stride = (view->c + 7) / 8 * 8;
  made.step.centre_channels = centre_channels;
  return made;
}

// What a kernel that follows the plan and its schedule makes; each output once, but for slices.
std::vector<double> follow(const Case& c, const hopper::Plan& plan, int multiprocessors) {
  const Layer& l = c.layer;
  const hopper::Schedule schedule = hopper::make_schedule(plan, l.images, multiprocessors);
  const auto [y_phase, x_phase] = c.phases[0];
  const int64_t pixel = c.step.out.pixel_stride, row = pixel * l.out.w;
  const int64_t image = row * l.out.h, slice = image;
  std::vector<double> memory(static_cast<std::size_t>(l.images * plan.slices * image), 0.0);
  std::vector<int> written(memory.size(), 0);
  CHECK(static_cast<std::size_t>(schedule.begin.back()) == schedule.tiles.size());
  for (const hopper::Tile& tile : schedule.tiles) {
    const hopper::Group& group = plan.groups[static_cast<std::size_t>(tile.group)];
    const int pixels = 1 << (schedule.box.log2_w + schedule.box.log2_h + schedule.box.log2_n);
    CHECK(pixels == hopper::tile_rows(plan.shape));
    for (int p = 0; p < pixels; ++p) {
      const int x = tile.x + p % (1 << schedule.box.log2_w);
      const int y = tile.y + (p >> schedule.box.log2_w) % (1 << schedule.box.log2_h);
      const int n = tile.n + (p >> (schedule.box.log2_w + schedule.box.log2_h));
      for (int column = 0; column < hopper::tile_blocks(plan.shape) * hopper::kBlockChannels; ++column) {
        const hopper::Columns& of = group.columns[column / hopper::kBlockChannels];
        if (n >= l.images || y >= of.rows || x >= of.cols || column % hopper::kBlockChannels >= of.valid) {
          continue;
        }
        double sum = 0.0;
        for (int t = group.first_tap; t < group.first_tap + group.tap_count; ++t) {
          const hopper::Tap& tap = plan.taps[static_cast<std::size_t>(t)];
          const int iy = y * plan.step_y + tap.dy, ix = x * plan.step_x + tap.dx;
          if (column >= tap.blocks * hopper::kBlockChannels || iy < 0 || iy >= l.in.h || ix < 0 ||
              ix >= l.in.w) {
            continue;
          }
          const float* in = &c.data.in[static_cast<std::size_t>(
              ((int64_t{n} * l.in.h + iy) * l.in.w + ix) * l.in.c)];
          const int end = std::min(tap.end_block * hopper::kBlockChannels, l.in.c);
          for (int i = tap.first_block * hopper::kBlockChannels; i < end; ++i) {
            sum += static_cast<double>(in[i]) * weight_of(plan, group, tap, i, column);
          }
        }
        const auto at = static_cast<std::size_t>(
            n * plan.slices * image + y * row * y_phase.out_step + x * pixel * x_phase.out_step +
            of.offset + column % hopper::kBlockChannels);
        CHECK(++written[at] == 1);
        memory[at] = sum;
      }
    }
  }
  std::vector<double> made;
  for (int n = 0; n < l.images; ++n) {
    for (int64_t i = 0; i < image; ++i) {
      if (i % pixel >= l.out.c) continue;
      double sum = 0.0;
      for (int s = 0; s < plan.slices; ++s) {
        const auto at = static_cast<std::size_t>((int64_t{n} * plan.slices + s) * slice + i);
        CHECK(written[at] == 1);
        sum += memory[at];
      }
      made.push_back(sum);
    }
  }
  return made;
}

void check_plan(const Case& c, const hopper::Plan& plan, const char* what) {
  std::printf("%s: %s, %d slices\n", describe(c.layer).c_str(), what, plan.slices);
  std::fflush(stdout);
  CHECK(!plan.groups.empty());
  const Sums sums = sums_of(c.layer, c.data);
  const std::vector<double> made = follow(c, plan, 5);
  CHECK(made.size() == sums.value.size());
  // Weights of two bfloat16 have 16 bits or more; float16 has 11.
  const double unit = plan.half ? std::ldexp(1.0, -11) : std::ldexp(1.0, -16);
  for (std::size_t i = 0; i < made.size(); ++i) {
    CHECK(std::fabs(made[i] - sums.value[i]) <= unit * sums.magnitude[i]);
  }
}

void test_plans(const Layer& layer, int centre_channels = 0) {
  const Case c = make_case(layer, centre_channels);
  const cuda::Target target = {9, 0, cuda::Precision::kFloat32, "auto"};
  const cuda::Layout in = {Format::kSplit, c.step.in.h * c.step.in.w * c.step.in.pixel_stride};
  const cuda::Layout out = {Format::kFloat32, c.step.out.h * c.step.out.w * c.step.out.pixel_stride};
  CHECK(hopper::wgmma_suits({c.step, in, out, target}));
  for (const bool half : {false, true}) {
    check_plan(c, hopper::make_plan(c.step, hopper::large_shape(c.step), half), "large");
    const hopper::Plan small = hopper::make_plan(c.step, hopper::Shape::kSmall, half);
    check_plan(c, small, "small");
    if (!half) check_plan(c, as_shape(small, hopper::Shape::kTiny), "tiny");
    const hopper::Plan short_sums = as_shape(small, hopper::Shape::kShort);
    if (!short_sums.groups.empty()) check_plan(c, short_sums, "short");
  }
  const hopper::Plan split = hopper::make_split_plan(c.step);
  if (!split.groups.empty()) check_plan(c, split, "split");
}

// float32 weights are larger by what rounding towards zero takes off their sums: 1.5e-8 for each of
// three products of 16 channels (kLostAnAddition in gemm_plan.cpp). The weights' own rounding leaves
// an error of the slope of 4e-6 / sqrt(800) = 1.4e-7.
void test_weights_make_up() {
  const Case c = make_case(linear(1, 1024, 800), 0);
  const Sums sums = sums_of(c.layer, c.data);
  for (const bool half : {false, true}) {
    const std::vector<double> made = follow(c, hopper::make_plan(c.step, hopper::Shape::kSmall, half), 5);
    double error = 0.0, square = 0.0;
    for (std::size_t i = 0; i < made.size(); ++i) {
      error += (made[i] - sums.value[i]) * sums.value[i];
      square += sums.value[i] * sums.value[i];
    }
    const double expected = half ? 0.0 : 1.5e-8 * 3 * 1024 / 16;
    CHECK(std::fabs(error / square - expected) <= (half ? 1e-4 : 6e-7));
  }
}

}  // namespace

int main() {
  test_half();
  test_weights_make_up();
  const Tensor map = {9, 7, 64};
  test_plans(conv2d(2, map, 64, {3, 1, 1, 1}));
  test_plans(conv2d(1, {9, 7, 40}, 21, {3, 2, 1, 0}));
  test_plans(conv2d(3, map, 320, {1}));
  test_plans(conv2d(1, map, 136, {3, 1, 2, 2, 2}, {2, 1, 0, 1}));
  test_plans(conv2d(1, {4, 4, 520}, 64, {3, 1, 1, 1}));  // few pixels: split by taps
  test_plans(conv2d(1, {2, 3, 2120}, 16, {1}));          // and by channels
  test_plans(linear(130, 100, 72));
  test_plans(linear(1, 2112, 8000));  // more groups and stretches than the table of taps has places
  test_plans(conv_transpose2d(2, {5, 6, 64}, 24, {4, 2, 1, 1}));
  test_plans(conv_transpose2d(1, {4, 4, 128}, 192, {5, 2, 1, 2, 1, 0}));
  test_plans(conv_transpose2d(1, {3, 5, 32}, 16, {2, 3, 0, 0, 1, 2}));
  test_plans(conv2d(1, {9, 7, 32}, 256, {3, 1, 1, 1}), 128);  // 1x1 beside a 3x3
}
