// What training does pixel by pixel: norms and their gradients, sums, optimizers, dropout.
#pragma once

#include "cpu/training/kernels.h"
#include "isa/activation_gradients.h"
#include "isa/doubles.h"
#include "isa/vec.h"
#include "philox.h"

namespace {

using facegen::cpu::DropoutRow;
using facegen::cpu::NormGradientRow;
using facegen::cpu::OptimizerRow;

void normalise(GradientRow row, const float* x, const float* mean, const float* scale,
               const float* beta, int64_t pixels, int channels, float* y) {
  by_activation(row.activation, [&](auto activation) {
    for (int64_t p = 0; p < pixels; ++p, x += channels, y += channels) {
      for_each_vector(channels, [&](int i, auto get, auto put) {
        const Vec h = multiply_add(get(x + i) - get(mean + i), get(scale + i), get(beta + i));
        put(y + i, activate<decltype(activation)::value>(h, row.alpha, row.beta));
      });
    }
  });
}

// Vectors of `channels` one after another; of each, all pixels: the sums stay in registers.
void channel_sums(const float* x, int64_t pixels, int64_t stride, int channels, double* sum) {
  int c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    VecD low, high;
    __builtin_memcpy(&low, sum + c, sizeof low);
    __builtin_memcpy(&high, sum + c + kHalf, sizeof high);
    const float* pixel = x + c;
    for (int64_t p = 0; p < pixels; ++p, pixel += stride) {
      low += load_doubles(pixel);
      high += load_doubles(pixel + kHalf);
    }
    __builtin_memcpy(sum + c, &low, sizeof low);
    __builtin_memcpy(sum + c + kHalf, &high, sizeof high);
  }
  for (; c < channels; ++c) {
    for (int64_t p = 0; p < pixels; ++p) sum[c] += static_cast<double>(x[p * stride + c]);
  }
}

void norm_sums(const NormGradientRow& row, double* sum, double* product) {
  by_activation(row.activation.activation, [&](auto activation) {
    int c = 0;
    const auto add = [&](auto get, int count) {
      double s[kLanes] = {}, q[kLanes] = {};
      __builtin_memcpy(s, sum + c, static_cast<decltype(sizeof 0)>(count) * 8);
      __builtin_memcpy(q, product + c, static_cast<decltype(sizeof 0)>(count) * 8);
      VecD sums[2], products[2];
      __builtin_memcpy(sums, s, sizeof s);
      __builtin_memcpy(products, q, sizeof q);
      const Vec mean = get(row.mean + c), inverse = get(row.inverse + c);
      int64_t at = c;
      for (int64_t p = 0; p < row.pixels; ++p, at += row.stride) {
        const Vec g = before<decltype(activation)::value>(
            get(row.dy + at), get(row.y + at), row.activation.alpha, row.activation.beta);
        const Vec h = (get(row.x + at) - mean) * inverse;
        for (int half = 0; half < 2; ++half) {
          const VecD wide = doubles(g, half);
          sums[half] += wide;
          products[half] = multiply_add(wide, doubles(h, half), products[half]);
        }
      }
      __builtin_memcpy(s, sums, sizeof s);
      __builtin_memcpy(q, products, sizeof q);
      __builtin_memcpy(sum + c, s, static_cast<decltype(sizeof 0)>(count) * 8);
      __builtin_memcpy(product + c, q, static_cast<decltype(sizeof 0)>(count) * 8);
    };
    for (; c + kLanes <= row.channels; c += kLanes) {
      add([](const float* from) { return load(from); }, kLanes);
    }
    const int rest = row.channels - c;
    if (rest > 0) add([rest](const float* from) { return load_part(from, rest); }, rest);
  });
}

void norm_gradient(const NormGradientRow& row, const float* factor, const float* sum_share,
                   const float* product_share, float* dx, bool accumulate) {
  by_activation(row.activation.activation, [&](auto activation) {
    int64_t at = 0;
    for (int64_t p = 0; p < row.pixels; ++p, at += row.stride) {
      for_each_vector(row.channels, [&](int i, auto get, auto put) {
        const Vec g = before<decltype(activation)::value>(
            get(row.dy + at + i), get(row.y + at + i), row.activation.alpha, row.activation.beta);
        const Vec h = (get(row.x + at + i) - get(row.mean + i)) * get(row.inverse + i);
        const Vec both = multiply_add(h, get(product_share + i), get(sum_share + i));
        const Vec d = multiply_add(g, get(factor + i), -both);
        put(dx + at + i, accumulate ? get(dx + at + i) + d : d);
      });
    }
  });
}

void scale_and_shift(const float* x, float scale, float shift, float* y, int64_t count,
                     bool accumulate) {
  for_each_vector_of(count, [&](int64_t i, auto get, auto put) {
    const Vec v = multiply_add(scale, get(x + i), broadcast(shift));
    put(y + i, accumulate ? get(y + i) + v : v);
  });
}

void add_row(const float* x, float* y, int64_t count) {
  for_each_vector_of(count, [&](int64_t i, auto get, auto put) { put(y + i, get(y + i) + get(x + i)); });
}

double sum_of_squares(const float* x, int64_t count) {
  VecD total[2] = {};
  for_each_vector_of(count, [&](int64_t i, auto get, auto) {
    const Vec v = get(x + i);
    for (int half = 0; half < 2; ++half) {
      total[half] = multiply_add(doubles(v, half), doubles(v, half), total[half]);
    }
  });
  double sum = 0.0;
  for (int lane = 0; lane < kHalf; ++lane) sum += total[0][lane] + total[1][lane];
  return sum;
}

void sgd(const OptimizerRow& row) {
  for_each_vector_of(row.count, [&](int64_t i, auto get, auto put) {
    const Vec p = get(row.parameter + i);
    Vec g = get(row.gradient + i) * row.gradient_scale;
    g = multiply_add(row.weight_decay, p, g);
    if (row.first != nullptr) {
      const Vec v = row.starts ? g : multiply_add(row.momentum, get(row.first + i), g);
      put(row.first + i, v);
      g = row.nesterov ? multiply_add(row.momentum, v, g) : v;
    }
    put(row.parameter + i, multiply_add(-row.rate, g, p));
  });
}

void adam(const OptimizerRow& row) {
  const float step = row.step_size;
  for_each_vector_of(row.count, [&](int64_t i, auto get, auto put) {
    Vec p = get(row.parameter + i);
    Vec g = get(row.gradient + i) * row.gradient_scale;
    g = multiply_add(row.weight_decay, p, g);
    p = p * row.shrink;
    const Vec old = get(row.first + i);
    const Vec m = multiply_add(row.rest1, g - old, old);
    const Vec v = multiply_add(row.rest2 * g, g, get(row.second + i) * row.beta2);
    put(row.first + i, m);
    put(row.second + i, v);
    put(row.parameter + i, p - step * (m / (sqrt(v) / row.root_correction2 + row.eps)));
  });
}

// The draws of numbers 4 i to 4 i + 3 are the words of place i.
void dropout(const DropoutRow& row) {
  const facegen::PhiloxKey key = facegen::philox_key(row.seed, row.stream);
  for (int64_t i = 0; i < row.count;) {
    const uint64_t place = static_cast<uint64_t>(row.first + i);
    uint32_t words[4];
    facegen::philox(place / 4, row.step, key, words);
    for (uint64_t word = place % 4; word < 4 && i < row.count; ++word, ++i) {
      const float kept = words[word] < row.threshold ? 0.0f : row.x[i] * row.scale;
      row.y[i] = row.accumulate ? row.y[i] + kept : kept;
    }
  }
}

void max_pool_gradient(const float* const* x_rows, float* const* dx_rows, int rows, int width,
                       int kernel, int stride, int pad_left, const float* y, const float* dy,
                       int windows, int channels) {
  for (int window = 0; window < windows; ++window, y += channels, dy += channels) {
    const int x = window * stride - pad_left;
    const int first = x > 0 ? x : 0, last = x + kernel < width ? x + kernel : width;
    for_each_vector(channels, [&](int i, auto get, auto put) {
      const Vec largest = get(y + i);
      Vec left = get(dy + i);  // 0 where it has gone to a pixel
      VecI open = VecI{} == 0;
      for (int r = 0; r < rows; ++r) {
        for (int px = first; px < last; ++px) {
          const int64_t at = int64_t{1} * px * channels + i;
          const Vec value = get(x_rows[r] + at);
          // NaN is the largest, as in the pool.
          const VecI here = open & ((value == largest) | ((value != value) & (largest != largest)));
          put(dx_rows[r] + at, get(dx_rows[r] + at) + select(here, left, Vec{}));
          open &= ~here;
        }
      }
    });
  }
}

}  // namespace
