// Winograd's convolution on every instruction set against a naive float64 loop.
#include "cpu/winograd.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "divide_up.h"
#include "gemm_layer.h"
#include "one_step.h"
#include "program.h"
#include "tolerance.h"

using namespace facegen;
using namespace facegen::test;

namespace {

using test::Window;  // and not the program's

// Outputs of a tile, 0 for none.
int outputs(const Layer& l, const cpu::Kernels& kernels, Algorithm algorithm = Algorithm::kAuto) {
  const std::vector<Phase> phases = phases_of(l);
  Step step = step_of(l, {}, phases, algorithm);
  step.in = l.in.view(0);
  step.out = l.out.view(1);
  return cpu::Winograd::tile_outputs(step, kernels);
}

// Of the transform along the axis that has more.
int points(const Layer& l, int tile_outputs) {
  int64_t taps = 0;
  for (const auto& [y, x] : phases_of(l)) {
    taps = std::max<int64_t>({taps, divide_up(y.taps, y.step), divide_up(x.taps, x.step)});
  }
  return tile_outputs + static_cast<int>(taps) - 1;
}

// Sums whose magnitudes are those of Winograd's products: of the whole map, not of one output.
Sums with_winograd_magnitudes(const Layer& l, Sums sums, int tile_outputs) {
  const double factor = winograd_magnitude(points(l, tile_outputs));
  const int64_t size = l.out.size();
  for (int64_t image = 0; image < l.images; ++image) {
    for (int64_t column = 0; column < l.out.c; ++column) {
      const auto at = [&](int64_t pixel) -> double& {
        return sums.magnitude[static_cast<std::size_t>(image * size + pixel * l.out.c + column)];
      };
      double largest = 0;
      for (int64_t p = 0; p < l.out.pixels(); ++p) largest = std::max(largest, at(p));
      for (int64_t p = 0; p < l.out.pixels(); ++p) at(p) = factor * largest;
    }
  }
  return sums;
}

void check_layer(const Layer& l, int tile_outputs, std::mt19937& random) {
  CHECK(l.out.h > 0 && l.out.w > 0);
  const Data data = draw_data(l, random);
  const Sums direct_sums = sums_of(l, data);
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    if (kernels->products != cpu::Products::kFloat32) continue;
    begin_case(describe(l), *kernels);
    CHECK(outputs(l, *kernels) == tile_outputs);
    const Sums sums = with_winograd_magnitudes(l, direct_sums, tile_outputs);
    const OneStep network = executable(l, data, *kernels, Algorithm::kAuto);
    const std::vector<float> found = network.run_checked(l.images, data.in, data.add);
    check_close(l.out, found, [&](int64_t i) {
      return expected(l, data, sums, i, cpu::Products::kFloat32);
    });
  }
}

// ---- the cases

std::vector<Layer> listed_layers() {
  const Window same = {3, 1, 1, 1}, dcgan = {5, 2, 1, 2}, pix2pix = {4, 2, 1, 1};
  return {
      // both tap counts, on both axes
      conv2d(2, {8, 8, 16}, 16, same),
      conv2d(1, {9, 8, 20}, 24, {2, 1, 1, 1}),
      conv2d(1, {9, 8, 20}, 24, {2, 1}, same),
      conv2d(1, {9, 8, 20}, 24, same, {2, 1, 0, 1}),
      conv_transpose2d(1, {9, 8, 20}, 24, same),
      conv_transpose2d(1, {9, 8, 20}, 24, {2, 1}, {3, 1}),
      conv_transpose2d(2, {8, 8, 20}, 33, dcgan),
      conv_transpose2d(2, {8, 9, 17}, 31, pix2pix),
      conv_transpose2d(1, {9, 8, 16}, 16, dcgan, pix2pix),
      conv_transpose2d(1, {8, 8, 16}, 16, dcgan, same),
      conv_transpose2d(1, {9, 9, 18}, 17, {6, 2, 2, 2}),
      conv_transpose2d(1, {9, 9, 18}, 17, {7, 3, 2, 1}),
      // odd sizes: the last tiles are cut; phases of several sizes
      conv2d(3, {9, 9, 16}, 17, same),
      conv2d(1, {3, 31, 19}, 16, same),
      conv2d(1, {33, 2, 19}, 16, same),
      conv_transpose2d(2, {7, 9, 16}, 16, {5, 2, 2, 2}),
      conv_transpose2d(1, {9, 9, 16}, 16, {5, 2, 1, 2, 1, 1}, {4, 2, 1, 2, 1, 1}),
      // padding: none, of one side; of a transposed convolution, beyond the kernel
      conv2d(1, {9, 10, 16}, 16, {3, 1}),
      conv2d(1, {9, 8, 16}, 16, {3, 1, 2, 0}, {3, 1, 0, 1}),
      conv_transpose2d(1, {8, 9, 16}, 16, {5, 2, 0, 3}, {5, 2, 4, 0}),
      // dilation: grids of equal and of different sizes
      conv2d(2, {8, 8, 16}, 16, {3, 1, 2, 2, 2}),
      conv2d(1, {9, 11, 17}, 18, {3, 1, 2, 2, 2}),
  };
}

// 4 and 5 taps, which have tiles of 2 x 2 outputs alone.
std::vector<Layer> many_taps_layers() {
  const Window three = {3, 1, 1, 1}, four = {4, 1, 1, 2}, five = {5, 1, 2, 2};
  return {
      conv2d(2, {12, 12, 32}, 64, {5, 1}),
      conv2d(1, {9, 10, 24}, 24, five),
      conv2d(1, {10, 9, 25}, 31, four),
      conv2d(1, {20, 23, 24}, 24, five, four),
      conv2d(1, {9, 11, 24}, 24, three, five),
      conv2d(1, {11, 9, 24}, 24, four, three),
      conv2d(1, {12, 10, 24}, 24, {2, 1, 1, 1}, five),
      conv2d(1, {12, 12, 24}, 24, {5, 1, 4, 4, 2}),
      conv_transpose2d(1, {9, 8, 24}, 24, five),
      // strides: grids of 4 and 3, 5 and 4, 5 and 5 taps; phases of 4 and 5
      conv2d(1, {24, 23, 24}, 24, {7, 2, 3, 3}),
      conv2d(1, {27, 24, 24}, 25, {9, 2, 4, 4}),
      conv2d(1, {24, 26, 24}, 24, {10, 2, 4, 4}, {8, 2, 3, 3}),
      conv_transpose2d(1, {12, 13, 24}, 24, {9, 2, 3, 3}, {8, 2, 3, 3}),
  };
}

// Maps large enough for tiles of 4 x 4 outputs.
std::vector<Layer> large_layers() {
  const Window same = {3, 1, 1, 1}, dcgan = {5, 2, 1, 2}, pix2pix = {4, 2, 1, 1};
  return {
      // both tap counts, on both axes
      conv2d(2, {16, 16, 16}, 16, same),
      conv2d(1, {23, 20, 20}, 24, {2, 1, 1, 1}),
      conv2d(1, {23, 20, 20}, 24, {2, 1}, same),
      conv2d(1, {23, 20, 20}, 24, same, {2, 1, 0, 1}),
      conv_transpose2d(1, {20, 24, 20}, 33, dcgan),
      conv_transpose2d(2, {23, 20, 17}, 31, pix2pix),
      conv_transpose2d(1, {20, 23, 16}, 16, dcgan, pix2pix),
      conv_transpose2d(1, {20, 20, 18}, 17, {7, 3, 2, 1}),
      // the last tiles are cut, by 1 to 3 outputs
      conv2d(1, {29, 30, 16}, 17, same),
      conv2d(1, {31, 23, 19}, 16, same),
      // dilation: grids of equal and of different sizes
      conv2d(1, {32, 32, 16}, 16, {3, 1, 2, 2, 2}),
      conv2d(1, {29, 34, 17}, 18, {3, 1, 2, 2, 2}),
      conv2d(1, {13, 23, 17}, 18, {2, 1, 1, 2, 3}, {3, 1, 4, 1, 4}),
      // padding beyond the kernel
      conv2d(1, {15, 12, 16}, 16, {3, 1, 3, 4}, {2, 1, 2, 2}),
      // strides: 2 x 2 grids of 2 and 2, 2 and 1, 3 and 2, 3 and 3 taps; 3 x 3 grids; one axis only
      conv2d(2, {48, 48, 16}, 18, pix2pix),
      conv2d(1, {47, 49, 19}, 16, {3, 2, 1, 1}),
      conv2d(1, {45, 48, 16}, 17, {5, 2, 2, 1}),
      conv2d(1, {45, 48, 16}, 17, {6, 2, 2, 3}),
      conv2d(1, {75, 72, 16}, 16, {7, 3, 3, 1}),
      conv2d(1, {48, 24, 16}, 16, pix2pix, same),
      conv2d(1, {24, 47, 16}, 20, same, {3, 2}),
      // many channels and columns
      conv2d(1, {16, 16, 300}, 16, same),
      conv2d(1, {20, 16, 16}, 257, same),
  };
}

// Phases that share a part: all 16 of them, of 3 and 2 taps, some with an output less than the others; in
// buffers of their own and in wider ones.
std::vector<Layer> merged_layers() {
  std::vector<Layer> layers = {conv_transpose2d(2, {19, 23, 21}, 21, {11, 4}),
                               conv_transpose2d(1, {24, 17, 16, 1, 2}, 19, {8, 4, 2, 2}),
                               conv_transpose2d(1, {17, 19, 24}, 16, {10, 5, 2, 1}, {8, 3})};
  for (std::size_t i = 0; i < 3; ++i) {
    layers.push_back(layers[i]);
    layers.back().bias = false;
  }
  layers.push_back(layers[0]);
  layers.back().out.front = 3;
  layers.back().add = layers.back().scale = layers.back().shift = true;
  return layers;
}

// One less and one more than what the engine cuts by: lanes, weight panels, stretches of 256
// channels, tasks of 128 columns and of 960 tiles, groups of 56, 24 and 20 tiles.
std::vector<Layer> edge_layers() {
  std::vector<Layer> layers;
  for (int depth : {17, 31, 33, 63, 64, 65, 85, 86, 127, 128, 129, 255, 256, 257, 300}) {
    layers.push_back(conv2d(1, {9, 9, depth}, 17, {3, 1, 1, 1}));
    layers.push_back(conv_transpose2d(1, {9, 9, depth}, 16, {5, 2, 1, 2}));
  }
  for (int columns : {17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 257}) {
    layers.push_back(conv2d(1, {9, 9, 16}, columns, {3, 1, 1, 1}));
  }
  for (int tiles : {19, 20, 21, 24, 25, 28, 29, 55, 56, 57, 113, 960, 961}) {
    layers.push_back(conv2d(1, {2, 2 * tiles, 16}, 16, {3, 1, 1, 1}));
  }
  return layers;
}

// Every activation with every set of other terms, inside wider buffers.
std::vector<Layer> epilogue_layers() {
  std::vector<Layer> layers;
  for (int activation = 0; activation < 4; ++activation) {
    for (int terms = 0; terms < 16; ++terms) {
      Layer l = terms % 2 == 0 ? conv2d(2, {9, 8, 16, 2, 1}, 21, {3, 1, 1, 1})
                               : conv_transpose2d(2, {9, 8, 16, 0, 3}, 21, {4, 2, 1, 1});
      l.out.front = terms % 3;
      l.out.back = activation;
      l.activation = static_cast<Activation>(activation);
      l.bias = (terms & 1) != 0;
      l.add = (terms & 2) != 0;
      l.scale = (terms & 4) != 0;
      l.shift = (terms & 8) != 0;
      layers.push_back(l);
    }
  }
  return layers;
}

// Which layers are computed so.
void test_choice() {
  const Window same = {3, 1, 1, 1}, dcgan = {5, 2, 1, 2};
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case("choice", *kernels);
    const Layer l = conv2d(1, {8, 8, 64}, 64, same);
    CHECK((outputs(l, *kernels) == 2) == (kernels->products == cpu::Products::kFloat32));
    CHECK(!outputs(l, *kernels, Algorithm::kDirect));  // direct only
    CHECK(!outputs(conv2d(1, {16, 16, 64}, 64, {2, 2, 0, 0}), *kernels));        // grids of 1 tap
    CHECK(!outputs(conv2d(1, {8, 8, 64}, 64, Window{}), *kernels));              // 1 tap
    CHECK(!outputs(conv2d(1, {8, 8, 64}, 64, {6, 1, 2, 3}), *kernels));          // 6 taps
    CHECK(!outputs(conv2d(1, {28, 28, 16}, 16, {5, 1, 2, 2}), *kernels));        // few for 5 taps
    CHECK(!outputs(conv2d(1, {8, 8, 64}, 64, same, {1, 1}), *kernels));          // 1 tap along x
    CHECK(!outputs(conv_transpose2d(1, {8, 8, 64}, 64, {3, 2, 1, 1}), *kernels));  // phases of 1 tap
    CHECK(!outputs(conv2d(1, {8, 8, 15}, 64, same), *kernels));                  // few channels
    CHECK(!outputs(conv2d(1, {8, 8, 64}, 15, same), *kernels));
    CHECK(!outputs(conv2d(1, {4, 8, 64}, 64, same), *kernels));                  // few tiles
    CHECK(!outputs(conv_transpose2d(1, {4, 4, 512}, 256, dcgan), *kernels));
    CHECK(!outputs(conv2d(1, {1, 64, 64}, 64, same), *kernels));                 // half-empty tiles
    CHECK(!outputs(conv2d(1, {9, 9, 64}, 64, {3, 1, 3, 3, 3}), *kernels));
    CHECK(!outputs(conv2d(1, {9, 9, 64}, 64, {3, 1, 999999999, 999999999, 999999999}), *kernels));
    CHECK((outputs(conv2d(1, {16, 16, 1024}, 512, same), *kernels) == 4) ==
          (kernels->products == cpu::Products::kFloat32));
  }
}

// Errors are as small as theory has it, beside the definition's own.
void test_accuracy(std::mt19937& random) {
  for (const Layer& l : {conv2d(1, {16, 16, 256}, 16, {3, 1, 1, 1}),
                         conv_transpose2d(1, {16, 16, 256}, 16, {5, 2, 1, 2}),
                         conv_transpose2d(1, {16, 16, 256}, 16, {4, 2, 1, 1}),
                         conv2d(1, {32, 32, 128}, 16, {3, 2, 1, 1}),
                         conv2d(1, {14, 14, 256}, 16, {3, 1, 1, 1}),
                         conv2d(1, {16, 16, 256}, 16, {5, 1, 2, 2}),
                         conv2d(1, {16, 16, 256}, 16, {4, 1, 1, 2})}) {
    const Data data = draw_data(l, random);
    const Sums sums = sums_of(l, data);
    for (const cpu::Kernels* kernels : cpu::available_kernels()) {
      if (kernels->products != cpu::Products::kFloat32) continue;
      begin_case("accuracy, " + describe(l), *kernels);
      const auto rms_error = [&](Algorithm algorithm) {
        const std::vector<float> found =
            executable(l, data, *kernels, algorithm).run(l.images, data.in, {}, 1);
        double sum = 0;
        for (std::size_t i = 0; i < found.size(); ++i) {
          const Bounded want =
              expected(l, data, sums, static_cast<int64_t>(i), cpu::Products::kFloat32);
          const double error = static_cast<double>(found[i]) - want.value;
          sum += error * error;
        }
        return std::sqrt(sum / static_cast<double>(found.size()));
      };
      const double direct = rms_error(Algorithm::kDirect), winograd = rms_error(Algorithm::kAuto);
      CHECK(winograd != direct);
      CHECK(winograd <= winograd_rms(points(l, outputs(l, *kernels))) * direct);
    }
  }
}

// A pixel of NaN makes NaN of every output that reads it, and of no other tile and no other image.
void test_nan_pixel(std::mt19937& random) {
  const Layer l = conv2d(2, {10, 9, 16}, 20, {3, 1, 1, 1});
  Data data = draw_data(l, random);
  const int iy = 5, ix = 2;
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    if (kernels->products != cpu::Products::kFloat32) continue;
    begin_case("NaN", *kernels);
    const OneStep network = executable(l, data, *kernels, Algorithm::kAuto);
    const std::vector<float> clean = network.run(l.images, data.in, {}, 1);
    std::vector<float> in = data.in;
    std::fill_n(in.begin() + (iy * l.in.w + ix) * l.in.c, l.in.c, std::nanf(""));
    const std::vector<float> found = network.run(l.images, in, {}, 1);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto pixel = static_cast<int>(i) / l.out.c;
      const int oy = pixel / l.out.w, ox = pixel % l.out.w;  // oy past the map: the second image
      const bool reads = std::abs(oy - iy) <= 1 && std::abs(ox - ix) <= 1;
      // The patch of the tile of outputs 2 t, 2 t + 1 holds the inputs 2 t - 1 to 2 t + 2.
      const auto in_patch = [](int o, int at) { return at >= o / 2 * 2 - 1 && at <= o / 2 * 2 + 2; };
      if (reads) CHECK(std::isnan(found[i]));
      if (!(in_patch(oy, iy) && in_patch(ox, ix))) CHECK(bits_of(found[i]) == bits_of(clean[i]));
    }
  }
}

// More threads than processors, and than some layers have tasks.
void test_many_threads(std::mt19937& random) {
  for (const Layer& l : {conv2d(1, {19, 23, 16}, 33, {3, 1, 1, 1}),
                         conv2d(1, {9, 9, 24}, 24, {5, 1, 2, 2}),
                         conv_transpose2d(1, {7, 9, 16}, 16, {5, 2, 2, 2}),
                         conv_transpose2d(1, {8, 8, 32}, 64, {5, 2, 1, 2})}) {
    const Data data = draw_data(l, random);
    for (const cpu::Kernels* kernels : cpu::available_kernels()) {
      begin_case("many threads, " + describe(l), *kernels);
      const OneStep network = executable(l, data, *kernels, Algorithm::kAuto);
      const std::vector<float> alone = network.run(l.images, data.in, {}, 1);
      for (int threads : {2, 5, 16, 64}) {
        CHECK(same_bits(network.run(l.images, data.in, {}, threads), alone));
      }
    }
  }
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  for (const Layer& layer : listed_layers()) check_layer(layer, 2, random);
  for (const Layer& layer : many_taps_layers()) check_layer(layer, 2, random);
  for (const Layer& layer : large_layers()) check_layer(layer, 4, random);
  for (const Layer& layer : merged_layers()) check_layer(layer, 4, random);
  for (const Layer& layer : edge_layers()) check_layer(layer, 2, random);
  for (const Layer& layer : epilogue_layers()) check_layer(layer, 2, random);
  test_choice();
  test_accuracy(random);
  test_nan_pixel(random);
  test_many_threads(random);
}
