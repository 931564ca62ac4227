// conv2d, conv_transpose2d and linear as layers: their program, and a naive float64 loop.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "cpu/dispatch.h"
#include "one_step.h"
#include "program.h"
#include "tolerance.h"

namespace facegen::test {

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

inline int conv_size(int size, const Window& w) {
  const int span = size + w.pad_front + w.pad_back - (w.kernel - 1) * w.dilation - 1;
  return span < 0 ? 0 : span / w.stride + 1;
}
inline int conv_transpose_size(int size, const Window& w) {
  return (size - 1) * w.stride + w.kernel - w.pad_front - w.pad_back + w.output_padding;
}

inline Layer conv2d(int images, Tensor in, int out, Window y, Window x) {
  return {false, images, in, {conv_size(in.h, y), conv_size(in.w, x), out}, y, x};
}
inline Layer conv2d(int images, Tensor in, int out, Window window) {
  return conv2d(images, in, out, window, window);
}
inline Layer conv_transpose2d(int images, Tensor in, int out, Window y, Window x) {
  const Tensor map = {conv_transpose_size(in.h, y), conv_transpose_size(in.w, x), out};
  return {true, images, in, map, y, x};
}
inline Layer conv_transpose2d(int images, Tensor in, int out, Window window) {
  return conv_transpose2d(images, in, out, window, window);
}
inline Layer linear(int images, int in, int out) { return conv2d(images, {1, 1, in}, out, Window{}); }

inline std::string describe(const Layer& l) {
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

inline std::vector<Axis> axes_of(const Layer& layer, const Window& w, int out) {
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

inline std::vector<Phase> phases_of(const Layer& layer) {
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

inline Data draw_data(const Layer& l, std::mt19937& random) {
  return {draw(l.images * l.in.size(), random),
          draw(int64_t{l.out.c} * l.y.kernel * l.x.kernel * l.in.c, random),
          draw(l.out.c, random),
          draw(l.images * l.out.size(), random),
          draw(l.out.c, random),
          draw(l.out.c, random)};
}

// Sums of products over all outputs of a batch, and of the products' magnitudes; the product of the
// largest input and the largest weight.
struct Sums {
  std::vector<double> value, magnitude;
  double largest;
};

inline double largest_magnitude(const std::vector<double>& values) {
  double result = 0;
  for (const double x : values) result = std::max(result, std::fabs(x));
  return result;
}

inline Sums sums_of(const Layer& l, const Data& data) {
  const std::vector<double> in(data.in.begin(), data.in.end());
  const std::vector<double> weight(data.weight.begin(), data.weight.end());
  const auto size = static_cast<std::size_t>(l.images * l.out.size());
  Sums sums = {std::vector<double>(size), std::vector<double>(size),
               largest_magnitude(in) * largest_magnitude(weight)};
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

inline Bounded expected(const Layer& l, const Data& data, const Sums& sums, int64_t i,
                        cpu::Products products) {
  const auto at = static_cast<std::size_t>(i), channel = static_cast<std::size_t>(i % l.out.c);
  const double bias = l.bias ? static_cast<double>(data.bias[channel]) : 0.0;
  const double add = l.add ? static_cast<double>(data.add[at]) : 0.0;
  const int64_t length = int64_t{l.y.kernel} * l.x.kernel * l.in.c + 2;
  Bounded y = sum_of_products(sums.value[at] + bias + add,
                              sums.magnitude[at] + std::fabs(bias) + std::fabs(add), sums.largest,
                              length, products);
  y = activate(y, l.activation, kSlope);
  if (l.scale) y = times(y, static_cast<double>(data.scale[channel]));
  if (l.shift) y = plus(y, static_cast<double>(data.shift[channel]));
  return y;
}

// ---- one layer on one instruction set

// Without its views. `phases` must outlive the step.
inline Step step_of(const Layer& l, const Data& data, const std::vector<Phase>& phases,
                    Algorithm algorithm) {
  Step step = {};
  step.op = Op::kGemm;
  step.phases = phases.data();
  step.phase_count = static_cast<int32_t>(phases.size());
  step.kernel_h = l.y.kernel;
  step.kernel_w = l.x.kernel;
  step.weight = data.weight.data();
  step.bias = l.bias ? data.bias.data() : nullptr;
  step.algorithm = algorithm;
  step.epilogue.activation = l.activation;
  step.epilogue.alpha = kSlope;
  step.epilogue.scale = l.scale ? data.scale.data() : nullptr;
  step.epilogue.shift = l.shift ? data.shift.data() : nullptr;
  return step;
}

inline OneStep executable(const Layer& l, const Data& data, const cpu::Kernels& kernels,
                          Algorithm algorithm) {
  const std::vector<Phase> phases = phases_of(l);
  const Tensor add = {l.out.h, l.out.w, l.out.c, l.out.back, l.out.front + 1};
  return {step_of(l, data, phases, algorithm), l.in, l.out, l.add ? &add : nullptr, kernels};
}

}  // namespace facegen::test
