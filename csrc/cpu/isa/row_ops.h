// The ops that are not a GEMM, one row of floats at a time.
#pragma once

#include "cpu/kernels.h"
#include "isa/math.h"
#include "isa/vec.h"

namespace {

using facegen::Activation;
using facegen::cpu::EpilogueRow;

template <Activation A>
inline Vec activate(Vec x, float slope) {
  if constexpr (A == Activation::kRelu) return select(x < 0.0f, Vec{}, x);
  if constexpr (A == Activation::kLeakyRelu) return select(x < 0.0f, x * slope, x);
  if constexpr (A == Activation::kTanh) return tanh(x);
  (void)slope;
  return x;
}

template <Activation A>
void epilogue_row(const EpilogueRow& row) {
  for_each_vector(row.columns, [&](int i, auto get, auto put) {
    Vec x = get(row.sum + i);
    if (row.bias != nullptr) x += get(row.bias + i);
    if (row.add != nullptr) x += get(row.add + i);
    x = activate<A>(x, row.slope);
    if (row.scale != nullptr) x *= get(row.scale + i);
    if (row.shift != nullptr) x += get(row.shift + i);
    put(row.out + i, x);
  });
}

void epilogue(const EpilogueRow& row) {
  switch (row.activation) {
    case Activation::kNone: return epilogue_row<Activation::kNone>(row);
    case Activation::kRelu: return epilogue_row<Activation::kRelu>(row);
    case Activation::kLeakyRelu: return epilogue_row<Activation::kLeakyRelu>(row);
    case Activation::kTanh: return epilogue_row<Activation::kTanh>(row);
  }
}

// NaN wins, as in the naive definition.
void maximum_row(const float* a, float* inout, int count) {
  for_each_vector(count, [&](int i, auto get, auto put) {
    const Vec x = get(a + i), y = get(inout + i);
    put(inout + i, select(x > y, x, select(x != x, x, y)));
  });
}

void blend(const float* a, float wa, const float* b, float wb, float* out, int count) {
  for_each_vector(count, [&](int i, auto get, auto put) {
    put(out + i, get(a + i) * wa + get(b + i) * wb);
  });
}

void softmax(const float* in, float* out, int count) {
  float largest = in[0];
  for (int i = 1; i < count; ++i) largest = in[i] > largest ? in[i] : largest;
  for_each_vector(count, [&](int i, auto get, auto put) {
    put(out + i, exp(get(in + i) - largest));
  });
  double sum = 0.0;  // in order: the same bits on every instruction set's exp
  for (int i = 0; i < count; ++i) sum += out[i];
  const float inverse = static_cast<float>(1.0 / sum);
  for_each_vector(count, [&](int i, auto get, auto put) { put(out + i, get(out + i) * inverse); });
}

}  // namespace
