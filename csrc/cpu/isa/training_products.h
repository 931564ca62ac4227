// Products of maps in training, channels in lanes: what depthwise convolutions, gates, softmax and
// layer norms give back. Long sums are in double.
#pragma once

#include "cpu/training/kernels.h"
#include "isa/doubles.h"
#include "isa/math.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::LayerNormGradientRow;

inline void add_doubles(VecD sums[2], Vec a, Vec b) {
  for (int half = 0; half < 2; ++half) {
    sums[half] = multiply_add(doubles(a, half), doubles(b, half), sums[half]);
  }
}

inline double sum_of(const VecD sums[2]) {
  double sum = 0.0;
  for (int lane = 0; lane < kHalf; ++lane) sum += sums[0][lane] + sums[1][lane];
  return sum;
}

void sum_of_products(const float* const* a, const float* const* b, int terms, float* out,
                     int channels, bool accumulate) {
  for_each_vector(channels, [&](int i, auto get, auto put) {
    Vec sum = {};
    for (int t = 0; t < terms; ++t) sum = multiply_add(get(a[t] + i), get(b[t] + i), sum);
    put(out + i, accumulate ? get(out + i) + sum : sum);
  });
}

void channel_products(const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                      int64_t pixels, int channels, bool where_negative, double* sum) {
  const auto add = [&](int c, auto get, int count) {
    const auto bytes = static_cast<decltype(sizeof 0)>(count) * 8;
    double lanes[kLanes] = {};
    VecD sums[2];
    __builtin_memcpy(lanes, sum + c, bytes);
    __builtin_memcpy(sums, lanes, sizeof sums);
    for (int64_t p = 0; p < pixels; ++p) {
      const Vec x = get(b + p * b_stride + c);
      add_doubles(sums, get(a + p * a_stride + c), where_negative ? select(x < 0.0f, x, Vec{}) : x);
    }
    __builtin_memcpy(lanes, sums, sizeof sums);
    __builtin_memcpy(sum + c, lanes, bytes);
  };
  int c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    add(c, [](const float* from) { return load(from); }, kLanes);
  }
  const int rest = channels - c;
  if (rest > 0) add(c, [rest](const float* from) { return load_part(from, rest); }, rest);
}

void multiply_rows_by(const float* a, const float* b, float* y, int64_t count, bool accumulate) {
  for_each_vector_of(count, [&](int64_t i, auto get, auto put) {
    const Vec product = get(a + i) * get(b + i);
    put(y + i, accumulate ? get(y + i) + product : product);
  });
}

double dot(const float* a, const float* b, int64_t count) {
  VecD sums[2] = {};
  for_each_vector_of(count, [&](int64_t i, auto get, auto) {
    add_doubles(sums, get(a + i), get(b + i));
  });
  return sum_of(sums);
}

void softmax_gradient(const float* y, const float* dy, float* dx, int channels, bool log,
                      bool accumulate) {
  VecD sums[2] = {};
  for_each_vector(channels, [&](int i, auto get, auto) {
    add_doubles(sums, get(dy + i), log ? broadcast(1.0f) : get(y + i));
  });
  const auto sum = static_cast<float>(sum_of(sums));
  for_each_vector(channels, [&](int i, auto get, auto put) {
    const Vec g = get(dy + i), d = log ? g - exp(get(y + i)) * sum : get(y + i) * (g - sum);
    put(dx + i, accumulate ? get(dx + i) + d : d);
  });
}

void layer_norm_gradient(const LayerNormGradientRow& row) {
  const Vec mean = broadcast(row.mean), inverse = broadcast(row.inverse);
  VecD sums[2] = {}, products[2] = {};
  for_each_vector(row.channels, [&](int i, auto get, auto) {
    const Vec g = get(row.dy + i) * get(row.gamma + i);
    // Lanes beyond the channels are 0 in g, whatever they are in h.
    add_doubles(sums, g, broadcast(1.0f));
    add_doubles(products, g, (get(row.x + i) - mean) * inverse);
  });
  const auto channels = static_cast<double>(row.channels);
  const auto share = static_cast<float>(sum_of(sums) / channels);
  const auto product_share = static_cast<float>(sum_of(products) / channels);
  for_each_vector(row.channels, [&](int i, auto get, auto put) {
    const Vec h = (get(row.x + i) - mean) * inverse;
    const Vec d = (get(row.dy + i) * get(row.gamma + i) - share - h * product_share) * inverse;
    put(row.dx + i, row.accumulate ? get(row.dx + i) + d : d);
  });
}

// sum[c] += dy, product[c] += dy h
void layer_norm_sums(const LayerNormGradientRow& row, double* sum, double* product) {
  for (int c = 0; c < row.channels; ++c) {
    const float h = (row.x[c] - row.mean) * row.inverse;
    sum[c] += static_cast<double>(row.dy[c]);
    product[c] += static_cast<double>(row.dy[c]) * static_cast<double>(h);
  }
}

}  // namespace
