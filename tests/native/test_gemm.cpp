// conv2d, conv_transpose2d and linear on every instruction set against a naive float64 loop.
#include <algorithm>
#include <cmath>
#include <cstdint>
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

// A window along one axis. Dilation is of conv2d, output padding of conv_transpose2d.
struct Window {
  int kernel = 1, stride = 1, pad_front = 0, pad_back = 0, dilation = 1, output_padding = 0;
};

struct Layer {
  bool transposed;
  int images;
  Tensor in, out;  // out.h and out.w follow from the windows
  Window y, x;
  Activation activation = Activation::kNone;
  bool bias = true, add = false, scale = false, shift = false;
};

int conv_size(int size, const Window& w) {
  const int span = size + w.pad_front + w.pad_back - (w.kernel - 1) * w.dilation - 1;
  return span < 0 ? 0 : span / w.stride + 1;
}
int conv_transpose_size(int size, const Window& w) {
  return (size - 1) * w.stride + w.kernel - w.pad_front - w.pad_back + w.output_padding;
}

Layer conv2d(int images, Tensor in, int out, Window y, Window x) {
  return {false, images, in, {conv_size(in.h, y), conv_size(in.w, x), out}, y, x};
}
Layer conv2d(int images, Tensor in, int out, Window window) {
  return conv2d(images, in, out, window, window);
}
Layer conv_transpose2d(int images, Tensor in, int out, Window y, Window x) {
  const Tensor map = {conv_transpose_size(in.h, y), conv_transpose_size(in.w, x), out};
  return {true, images, in, map, y, x};
}
Layer conv_transpose2d(int images, Tensor in, int out, Window window) {
  return conv_transpose2d(images, in, out, window, window);
}
Layer linear(int images, int in, int out) { return conv2d(images, {1, 1, in}, out, Window{}); }

std::string describe(const Layer& l) {
  const auto text = [](const Tensor& t) {
    return std::to_string(t.h) + "x" + std::to_string(t.w) + "x" + std::to_string(t.c) + "(+" +
           std::to_string(t.front) + "+" + std::to_string(t.back) + ")";
  };
  const auto window = [](const Window& w) {
    return "k" + std::to_string(w.kernel) + " s" + std::to_string(w.stride) + " p" +
           std::to_string(w.pad_front) + "," + std::to_string(w.pad_back) + " d" +
           std::to_string(w.dilation) + " op" + std::to_string(w.output_padding);
  };
  return std::string(l.transposed ? "conv_transpose2d " : "conv2d ") + std::to_string(l.images) +
         " x " + text(l.in) + " -> " + text(l.out) + ", y " + window(l.y) + ", x " + window(l.x) +
         ", activation " + std::to_string(static_cast<int>(l.activation)) +
         (l.bias ? ", bias" : "") + (l.add ? ", add" : "") + (l.scale ? ", scale" : "") +
         (l.shift ? ", shift" : "");
}

// ---- the program, as python/facegen/nn/phases.py makes it

std::vector<Axis> axes_of(const Layer& layer, const Window& w, int out) {
  if (!layer.transposed) return {{out, w.stride, w.dilation, -w.pad_front, w.kernel, 0, 1, 0, 1}};
  std::vector<Axis> axes;
  for (int origin = 0; origin < std::min(w.stride, out); ++origin) {
    const int base = (origin + w.pad_front) / w.stride, first = (origin + w.pad_front) % w.stride;
    const int taps = first < w.kernel ? (w.kernel - first + w.stride - 1) / w.stride : 0;
    axes.push_back({(out - origin + w.stride - 1) / w.stride, 1, -1, base, taps,
                    taps > 0 ? first : 0, w.stride, origin, w.stride});
  }
  return axes;
}

std::vector<Phase> phases_of(const Layer& layer) {
  std::vector<Phase> phases;
  for (const Axis& y : axes_of(layer, layer.y, layer.out.h)) {
    for (const Axis& x : axes_of(layer, layer.x, layer.out.w)) phases.push_back({y, x});
  }
  return phases;
}

// ---- the definition

// visit(input position, tap, output position) along one axis.
template <typename Visit>
void for_each_tap(bool transposed, const Window& w, int in, int out, Visit visit) {
  for (int tap = 0; tap < w.kernel; ++tap) {
    for (int at = 0; at < (transposed ? in : out); ++at) {
      const int other = transposed ? at * w.stride + tap - w.pad_front
                                   : at * w.stride + tap * w.dilation - w.pad_front;
      if (other < 0 || other >= (transposed ? out : in)) continue;
      transposed ? visit(at, tap, other) : visit(other, tap, at);
    }
  }
}

// visit(input pixel, tap, output pixel) of one image: whatever is multiplied.
template <typename Visit>
void for_each_tap(const Layer& l, Visit visit) {
  for_each_tap(l.transposed, l.y, l.in.h, l.out.h, [&](int iy, int ty, int oy) {
    for_each_tap(l.transposed, l.x, l.in.w, l.out.w, [&](int ix, int tx, int ox) {
      visit(int64_t{iy} * l.in.w + ix, int64_t{ty} * l.x.kernel + tx, int64_t{oy} * l.out.w + ox);
    });
  });
}

struct Data {
  std::vector<float> in, weight, bias, add, scale, shift;
};

Data draw_data(const Layer& l, std::mt19937& random) {
  return {draw(l.images * l.in.size(), random),
          draw(int64_t{l.out.c} * l.y.kernel * l.x.kernel * l.in.c, random),
          draw(l.out.c, random),
          draw(l.images * l.out.size(), random),
          draw(l.out.c, random),
          draw(l.out.c, random)};
}

// Sums of products over all outputs of a batch, and of the products' magnitudes.
struct Sums {
  std::vector<double> value, magnitude;
};

Sums sums_of(const Layer& l, const Data& data) {
  const std::vector<double> in(data.in.begin(), data.in.end());
  const std::vector<double> weight(data.weight.begin(), data.weight.end());
  const auto size = static_cast<std::size_t>(l.images * l.out.size());
  Sums sums = {std::vector<double>(size), std::vector<double>(size)};
  const int64_t taps = int64_t{1} * l.y.kernel * l.x.kernel;
  for_each_tap(l, [&](int64_t in_pixel, int64_t tap, int64_t out_pixel) {
    for (int image = 0; image < l.images; ++image) {
      const double* a = &in[static_cast<std::size_t>((image * l.in.pixels() + in_pixel) * l.in.c)];
      for (int column = 0; column < l.out.c; ++column) {
        const double* b = &weight[static_cast<std::size_t>((column * taps + tap) * l.in.c)];
        double sum = 0, magnitude = 0;
        for (int c = 0; c < l.in.c; ++c) {
          sum += a[c] * b[c];
          magnitude += std::fabs(a[c] * b[c]);
        }
        const auto i = static_cast<std::size_t>(
            (image * l.out.pixels() + out_pixel) * l.out.c + column);
        sums.value[i] += sum;
        sums.magnitude[i] += magnitude;
      }
    }
  });
  return sums;
}

constexpr float kSlope = 0.2f;

Bounded expected(const Layer& l, const Data& data, const Sums& sums, int64_t i, bool split) {
  const auto at = static_cast<std::size_t>(i), channel = static_cast<std::size_t>(i % l.out.c);
  const double bias = l.bias ? static_cast<double>(data.bias[channel]) : 0.0;
  const double add = l.add ? static_cast<double>(data.add[at]) : 0.0;
  const int64_t length = int64_t{l.y.kernel} * l.x.kernel * l.in.c + 2;
  Bounded y = sum_of_products(sums.value[at] + bias + add,
                              sums.magnitude[at] + std::fabs(bias) + std::fabs(add), length, split);
  y = activate(y, l.activation, kSlope);
  if (l.scale) y = times(y, static_cast<double>(data.scale[channel]));
  if (l.shift) y = plus(y, static_cast<double>(data.shift[channel]));
  return y;
}

// ---- one layer on one instruction set

OneStep executable(const Layer& l, const Data& data, const cpu::Kernels& kernels) {
  const std::vector<Phase> phases = phases_of(l);
  Step step = {};
  step.op = Op::kGemm;
  step.phases = phases.data();
  step.phase_count = static_cast<int32_t>(phases.size());
  step.kernel_h = l.y.kernel;
  step.kernel_w = l.x.kernel;
  step.weight = data.weight.data();
  step.bias = l.bias ? data.bias.data() : nullptr;
  step.epilogue.activation = l.activation;
  step.epilogue.slope = kSlope;
  step.epilogue.scale = l.scale ? data.scale.data() : nullptr;
  step.epilogue.shift = l.shift ? data.shift.data() : nullptr;
  const Tensor add = {l.out.h, l.out.w, l.out.c, l.out.back, l.out.front + 1};
  return {step, l.in, l.out, l.add ? &add : nullptr, kernels};
}

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
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case(describe(l), *kernels);
    const OneStep network = executable(l, data, *kernels);
    const std::vector<float> found = network.run_checked(l.images, data.in, data.add);
    check_close(l.out, found, [&](int64_t i) {
      return expected(l, data, sums, i, kernels->split_products);
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
      conv2d(2, {9, 8, 4}, 6, {1, 3}, {4, 2}),
      conv_transpose2d(2, {5, 4, 3}, 6, {2, 3}),
      conv_transpose2d(1, {3, 9, 5}, 3, {1, 4}),
      conv_transpose2d(1, {4, 5, 3}, 6, {4, 3, 0, 0, 1, 1}, {4, 3, 0, 0, 1, 2}),
      conv_transpose2d(1, {6, 7, 21}, 21, {11, 4}),
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

// An infinite input times a finite weight; the split of an infinity has NaN for its lower half.
void test_infinity(std::mt19937& random) {
  const Layer l = linear(1, 3, 20);
  Data data = draw_data(l, random);
  data.in[1] = INFINITY;
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case("infinity", *kernels);
    const std::vector<float> found = executable(l, data, *kernels).run(1, data.in, {}, 1);
    for (std::size_t i = 0; i < found.size(); ++i) {
      const bool as_defined = found[i] == (data.weight[i * 3 + 1] > 0 ? INFINITY : -INFINITY);
      CHECK(as_defined || (kernels->split_products && std::isnan(found[i])));
    }
  }
}

// More threads than processors, and than some layers have tasks.
void test_many_threads(std::mt19937& random) {
  for (const Layer& l : {linear(3, 40, 700), conv2d(1, {19, 23, 16}, 33, {3, 1, 1, 1}),
                         conv_transpose2d(1, {8, 8, 64}, 3, {5, 2, 1, 2})}) {
    const Data data = draw_data(l, random);
    for (const cpu::Kernels* kernels : cpu::available_kernels()) {
      begin_case("many threads, " + describe(l), *kernels);
      const OneStep network = executable(l, data, *kernels);
      const std::vector<float> alone = network.run(l.images, data.in, {}, 1);
      for (int threads : {5, 16}) {
        CHECK(same_bits(network.run(l.images, data.in, {}, threads), alone));
      }
    }
  }
}

// What the split into bfloat16 halves may lose at most: ties that round down in both factors.
void test_split_products() {
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    begin_case("(1 + 2^-8)^2", *kernels);
    const Layer l = linear(1, 1, 16);
    const float tie = 1 + 0x1p-8f;
    const Data data = {{tie}, std::vector<float>(16, tie), std::vector<float>(16), {}, {}, {}};
    const double exact = (1 + 0x1p-8) * (1 + 0x1p-8);
    for (float y : executable(l, data, *kernels).run(1, data.in, {}, 1)) {
      const double error = std::fabs(static_cast<double>(y) - exact);
      CHECK(error <= (kernels->split_products ? kSplitProduct : 0.0) * exact);
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
  test_split_products();
}
