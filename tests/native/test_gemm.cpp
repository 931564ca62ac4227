// conv2d, conv_transpose2d and linear on every instruction set against a naive float64 loop, as the
// definition multiplies; test_winograd.cpp has the other way.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "all_kernels.h"
#include "check.h"
#include "gemm_layer.h"
#include "one_step.h"
#include "program.h"
#include "tolerance.h"

using namespace facegen;
using namespace facegen::test;

namespace {

using test::Window;  // and not the program's

// One pixel of NaN reaches exactly the outputs whose windows hold it.
void check_nan_pixel(const Layer& l, Data data, const OneStep& network,
                     const std::vector<float>& clean) {
  const int64_t pixel = l.in.pixels() / 2;
  std::fill_n(data.in.begin() + pixel * l.in.c, l.in.c, std::nanf(""));
  std::vector<bool> reached(static_cast<std::size_t>(l.out.pixels()), false);
  for_each_tap(l, [&](int64_t in_pixel, int64_t, int64_t out_pixel) {
    if (in_pixel == pixel) reached[static_cast<std::size_t>(out_pixel)] = true;
  });
  const std::vector<float> found = network.run(l.images, data.in, data.add, 2);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::size_t out_pixel = i / static_cast<std::size_t>(l.out.c);
    if (out_pixel < reached.size() && reached[out_pixel]) {
      CHECK(std::isnan(found[i]));
    } else {
      CHECK(bits_of(found[i]) == bits_of(clean[i]));
    }
  }
}

void check_layer(const Layer& l, std::mt19937& random) {
  CHECK(l.out.h > 0 && l.out.w > 0);
  const Data data = draw_data(l, random);
  const Sums sums = sums_of(l, data);
  for (const cpu::Kernels* kernels : all_kernels()) {
    begin_case(describe(l), *kernels);
    const OneStep network = executable(l, data, *kernels, Algorithm::kDirect);
    const std::vector<float> found = network.run_checked(l.images, data.in, data.add);
    check_close(l.out, found, [&](int64_t i) {
      return expected(l, data, sums, i, kernels->products);
    });
    check_nan_pixel(l, data, network, found);
  }
}

// ---- the cases

std::vector<Layer> listed_layers() {
  const Window dcgan = {5, 2, 1, 2}, pix2pix = {4, 2, 1, 1};
  return {
      // 1x1 maps, one channel
      conv2d(1, {1, 1, 1}, 1, {1}),
      conv2d(3, {1, 1, 16}, 17, {3, 1, 1, 1}),
      conv2d(2, {9, 7, 1}, 5, {3, 1, 1, 1}),
      conv_transpose2d(1, {1, 1, 1}, 1, {1}),
      conv_transpose2d(3, {1, 1, 40}, 33, pix2pix),
      linear(1, 1, 1),
      linear(17, 100, 257),
      linear(3, 257, 31),
      linear(1, 1031, 67),
      // primes
      conv2d(3, {7, 11, 13}, 17, {3, 1, 1, 1}, {5, 1, 2, 2}),
      conv_transpose2d(3, {5, 7, 11}, 13, {5, 2}),
      // strides, also beyond the kernel, and phases without taps
      conv2d(1, {11, 13, 3}, 16, {7, 2}),
      conv2d(2, {10, 11, 4}, 6, {2, 3}),
      // rows of taps merged: few channels, padding written out, also more of it than the map is wide
      conv2d(2, {9, 10, 8}, 6, {5, 2, 2, 1}),
      conv2d(2, {9, 10, 9}, 6, {5, 2, 2, 1}),
      conv2d(3, {16, 15, 3}, 70, {4, 2, 1, 1}),
      conv2d(2, {3, 2, 1}, 18, {7, 1, 5, 4}),
      conv2d(2, {9, 8, 4}, 6, {1, 3}, {4, 2}),
      conv_transpose2d(2, {5, 4, 3}, 6, {2, 3}),
      conv_transpose2d(1, {3, 9, 5}, 3, {1, 4}),
      conv_transpose2d(1, {4, 5, 3}, 6, {4, 3, 0, 0, 1, 1}, {4, 3, 0, 0, 1, 2}),
      conv_transpose2d(1, {6, 7, 21}, 21, {11, 4}),
      conv_transpose2d(2, {5, 6, 9}, 50, {3, 3}, {9, 4}),  // bundles of phases, cut by tasks
      // rows read where they lie: long sums and just too long ones, weights in several parts, lines in
      // several chunks, rows a multiple of 4 KiB apart, outputs without taps
      conv2d(2, {3, 8, 1024}, 18, Window{}),
      conv2d(2, {3, 8, 1025}, 18, Window{}),
      conv2d(1, {4, 4, 520}, 301, Window{}),
      conv2d(1, {17, 23, 32}, 21, Window{}),
      conv2d(1, {4, 250, 3}, 20, {3, 1, 1, 1}),
      conv2d(1, {2, 40, 5}, 20, {3, 1, 1, 1}, {1, 2, 0, 1}),
      conv2d(3, {2, 20, 5}, 20, {1, 2}, {1, 1}),
      conv2d(3, {1, 20, 5}, 20, {1, 1}, {3, 1, 1, 1}),
      conv2d(2, {30, 9, 6}, 33, {3, 2, 2, 2, 4}, {5, 1, 1, 0}),
      conv_transpose2d(2, {4, 30, 7}, 21, {2, 3, 0, 0, 1, 2}, {5, 2, 1, 1}),
      // padding
      conv2d(1, {6, 5, 4}, 6, {3, 1, 0, 2}, {3, 1, 3, 1}),
      conv2d(1, {4, 5, 2}, 3, {2, 1, 4, 4}),
      conv2d(2, {2, 2, 6}, 7, {5, 1, 2, 2}),
      conv2d(3, {2, 2, 8}, 9, {4, 2, 1, 1}),
      conv_transpose2d(2, {3, 7, 5}, 6, {2, 1, 0, 1}, {5, 3, 2, 0}),
      conv_transpose2d(1, {3, 3, 4}, 4, {3, 2, 1, 1, 1, 1}),
      conv_transpose2d(1, {9, 8, 3}, 5, {5, 2, 4, 4}),
      // dilation; some taps never inside
      conv2d(2, {9, 8, 5}, 6, {3, 1, 2, 2, 2}),
      conv2d(1, {2, 3, 4}, 6, {3, 1, 4, 4, 4}, {3, 1, 4, 4, 3}),
      conv2d(1, {13, 40, 5}, 3, {3, 1, 2, 2, 2}, {3, 1, 6, 3, 3}),
      // the networks' own
      conv_transpose2d(2, {4, 4, 20}, 33, dcgan),
      conv_transpose2d(1, {9, 20, 16}, 3, dcgan),
      conv_transpose2d(2, {5, 3, 17}, 31, pix2pix),
      conv2d(1, {8, 6, 48}, 64, {3, 1, 1, 1}),
      conv2d(2, {4, 4, 300}, 33, {3, 1, 1, 1}),
      conv_transpose2d(1, {3, 3, 513}, 18, pix2pix),
      // many tasks even on one thread; several strips, also of one row, where pixels are in lanes
      conv2d(1, {61, 67, 3}, 6, {3, 1, 1, 1}),
      conv2d(1, {1, 3, 5}, 4611, Window{}),
      conv2d(1, {40, 41, 64}, 3, {3, 1, 1, 1}),
      conv2d(1, {3, 150, 512}, 2, {3, 1, 1, 1}),
      conv_transpose2d(2, {20, 33, 64}, 3, dcgan),
  };
}

// One less and one more than what the engine cuts by: 4 to 16 lanes, tiles of 5, 6, 14 and 32 rows,
// blocks of 224 rows, 512 columns and 256 channels.
std::vector<Layer> edge_layers() {
  std::vector<Layer> layers;
  for (int rows : {2, 4, 5, 6, 7, 13, 14, 15, 16, 17, 27, 28, 29, 31, 32, 33, 47, 48, 63, 64, 65}) {
    layers.push_back(conv2d(1, {1, rows, 6}, 18, Window{}));
    layers.push_back(conv_transpose2d(1, {1, rows, 3}, 16, {2, 2}));
  }
  for (int rows : {223, 224, 225, 449}) layers.push_back(linear(rows, 9, 31));
  for (int columns : {7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 255, 256, 257, 511,
                      512, 513}) {
    layers.push_back(conv2d(3, {2, 3, 5}, columns, {3, 1, 1, 1}));
  }
  for (int depth : {2, 3, 4, 13, 14, 15, 16, 17, 28, 29, 31, 32, 33, 63, 64, 65, 85, 86, 127, 128,
                    129, 255, 256, 257, 511, 512, 513}) {
    layers.push_back(conv2d(1, {3, 4, depth}, 17, {3, 1, 1, 1}));
  }
  // 1 to 4 outputs, pixels in lanes: rows around whole vectors.
  for (int columns = 1; columns <= 4; ++columns) {
    for (int width : {2, 7, 8, 9, 15, 16, 17, 33}) {
      layers.push_back(conv2d(3, {3, width, 5}, columns, {3, 1, 1, 1}));
      layers.push_back(conv_transpose2d(1, {2, width, 16}, columns, {5, 2, 1, 2}));
    }
  }
  return layers;
}

// Every activation with every set of other terms, inside wider buffers.
std::vector<Layer> epilogue_layers() {
  std::vector<Layer> layers;
  for (int activation = 0; activation < 4; ++activation) {
    for (int terms = 0; terms < 16; ++terms) {
      for (int columns : {3, 21}) {
        Layer l = terms % 2 == 0 ? conv2d(3, {4, 9, 5, 2, 1}, columns, {3, 1, 1, 1})
                                 : conv_transpose2d(3, {2, 9, 5, 0, 3}, columns, {3, 2});
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
  }
  return layers;
}

Layer random_layer(std::mt19937& random) {
  const auto pick = [&](std::initializer_list<int> from) {
    return from.begin()[random() % from.size()];
  };
  const auto below = [&](int count) {
    return static_cast<int>(random() % static_cast<unsigned>(count));
  };
  for (;;) {
    const bool transposed = below(2) == 0;
    const auto window = [&] {
      Window w = {1 + below(5), 1 + below(4)};
      w.pad_front = below(w.kernel + 1);
      w.pad_back = below(w.kernel + 1);
      if (transposed) w.output_padding = below(w.stride);
      if (!transposed) w.dilation = 1 + below(3);
      return w;
    };
    const Window y = window(), x = window();
    const Tensor in = {1 + below(9), 1 + below(23),
                       pick({1, 2, 3, 4, 5, 13, 14, 15, 16, 17, 31, 32, 33, 64, 255, 256, 257}),
                       below(3), below(3)};
    const int out = pick({1, 2, 3, 4, 5, 7, 14, 15, 16, 17, 31, 32, 33, 64, 97, 256, 257});
    const int images = pick({1, 3, 17});
    Layer l = transposed ? conv_transpose2d(images, in, out, y, x) : conv2d(images, in, out, y, x);
    l.out.front = below(3);
    l.out.back = below(3);
    l.activation = static_cast<Activation>(below(4));
    l.bias = below(4) != 0;
    l.add = below(3) == 0;
    l.scale = below(3) == 0;
    l.shift = below(3) == 0;
    const int64_t products = images * l.in.c * y.kernel * x.kernel *
                             (transposed ? l.in.pixels() * l.out.c : l.out.size());
    if (l.out.h > 0 && l.out.w > 0 && products < 600000) return l;
  }
}

// An infinite input times a finite weight; there is no fixed-point number for it.
void test_infinity(std::mt19937& random) {
  const Layer l = linear(1, 3, 20);
  Data data = draw_data(l, random);
  data.in[1] = INFINITY;
  for (const cpu::Kernels* kernels : all_kernels()) {
    begin_case("infinity", *kernels);
    const std::vector<float> found = executable(l, data, *kernels, Algorithm::kDirect).run(1, data.in, {}, 1);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const bool as_defined = found[i] == (data.weight[i * 3 + 1] > 0 ? INFINITY : -INFINITY);
      CHECK(as_defined ||
            (kernels->products == cpu::Products::kFixedPoint && std::isnan(found[i])));
    }
  }
}

// More threads than processors, and than some layers have tasks.
void test_many_threads(std::mt19937& random) {
  for (const Layer& l : {linear(3, 40, 700), conv2d(1, {19, 23, 16}, 33, {3, 1, 1, 1}),
                         conv_transpose2d(1, {8, 8, 64}, 3, {5, 2, 1, 2}),
                         conv2d(2, {9, 11, 520}, 301, Window{}),
                         conv2d(1, {19, 130, 3}, 33, {7, 2, 3, 3}),
                         conv_transpose2d(2, {6, 9, 21}, 21, {11, 4})}) {
    const Data data = draw_data(l, random);
    for (const cpu::Kernels* kernels : all_kernels()) {
      begin_case("many threads, " + describe(l), *kernels);
      const OneStep network = executable(l, data, *kernels, Algorithm::kDirect);
      const std::vector<float> alone = network.run(l.images, data.in, {}, 1);
      for (int threads : {5, 16}) {
        CHECK(same_bits(network.run(l.images, data.in, {}, threads), alone));
      }
    }
  }
}

// A tie of bfloat16, which 24 bits hold.
void test_rounding_of_factors() {
  for (const cpu::Kernels* kernels : all_kernels()) {
    begin_case("(1 + 2^-8)^2", *kernels);
    const Layer l = linear(1, 1, 16);
    const float tie = 1 + 0x1p-8f;
    const Data data = {{tie}, std::vector<float>(16, tie), std::vector<float>(16), {}, {}, {}};
    const bool rounded = kernels->products == cpu::Products::kBfloat16;
    for (float y : executable(l, data, *kernels, Algorithm::kDirect).run(1, data.in, {}, 1)) {
      CHECK(y == (rounded ? 1.0f : tie * tie));
    }
  }
}

// Fixed-point numbers have one scale a row, a column and a channel: what is of one size there is as
// exact as any other, at both ends of float32's range.
void test_scales() {
  constexpr int kIn = 70, kOut = 18;
  std::mt19937 random(seed());
  for (const float channel_step : {1.0f, 0x1p-1f}) {  // over 2^-69
    for (const float size : {0x1p-20f, 1.0f, 0x1p+40f}) {
      const Layer l = linear(3, kIn, kOut);
      Data data = draw_data(l, random);
      Data scaled = data;
      for (std::size_t i = 0; i < scaled.in.size(); ++i) {
        const auto c = static_cast<float>(i % kIn);
        scaled.in[i] *= std::pow(channel_step, -c) * size * (i < kIn ? 1.0f : 0x1p-80f);
      }
      for (std::size_t i = 0; i < scaled.weight.size(); ++i) {
        const auto c = static_cast<float>(i % kIn);
        scaled.weight[i] *= std::pow(channel_step, c) * (i < kIn ? 1.0f : 0x1p-10f);
      }
      std::fill(scaled.bias.begin(), scaled.bias.end(), 0.0f);
      std::fill(data.bias.begin(), data.bias.end(), 0.0f);
      const Sums sums = sums_of(l, data);
      for (const cpu::Kernels* kernels : all_kernels()) {
        begin_case("scales", *kernels);
        const std::vector<float> found =
            executable(l, scaled, *kernels, Algorithm::kDirect).run(l.images, scaled.in, {}, 1);
        for (std::size_t i = 0; i < found.size(); ++i) {
          const double scale = static_cast<double>(size) * (i < kOut ? 1.0 : 0x1p-80) *
                               (i % kOut == 0 ? 1.0 : 0x1p-10);
          const Bounded y = expected(l, data, sums, static_cast<int64_t>(i), kernels->products);
          CHECK(std::fabs(static_cast<double>(found[i]) / scale - y.value) <= y.bound);
        }
      }
    }
  }
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  for (const Layer& layer : listed_layers()) check_layer(layer, random);
  for (const Layer& layer : edge_layers()) check_layer(layer, random);
  for (const Layer& layer : epilogue_layers()) check_layer(layer, random);
  for (int i = 0; i < 150; ++i) check_layer(random_layer(random), random);
  test_infinity(random);
  test_many_threads(random);
  test_rounding_of_factors();
  test_scales();
}
