// The ops that are not a GEMM, one row of floats at a time.
#pragma once

#include "cpu/kernels.h"
#include "isa/activate.h"
#include "isa/math.h"
#include "isa/moments.h"
#include "isa/vec.h"

namespace {

using facegen::Combine;
using facegen::cpu::EpilogueRow;

// Most layers have a bias and nothing else: testing for the other terms at every vector would cost
// as much as the arithmetic.
template <Activation A, bool Bias, bool Others>
void epilogue_row(const EpilogueRow& row) {
  const float alpha = row.epilogue->alpha, beta = row.epilogue->beta;
  const float *const scale = row.scale(), *const shift = row.shift();
  for_each_vector(row.columns, [&](int i, auto get, auto put) {
    Vec x = get(row.sum + i);
    if constexpr (Bias) x += get(row.bias + i);
    if constexpr (Others) {
      if (row.other != nullptr) x += get(row.other + i);
    }
    x = activate<A>(x, alpha, beta);
    if constexpr (Others) {
      if (scale != nullptr) x *= get(scale + i);
      if (shift != nullptr) x += get(shift + i);
    }
    put(row.out + i, x);
  });
}

template <Activation A>
void epilogue_of(const EpilogueRow& row) {
  const facegen::Epilogue& e = *row.epilogue;
  const bool others = row.other != nullptr || e.scale != nullptr || e.shift != nullptr;
  if (row.bias != nullptr) {
    others ? epilogue_row<A, true, true>(row) : epilogue_row<A, true, false>(row);
  } else {
    others ? epilogue_row<A, false, true>(row) : epilogue_row<A, false, false>(row);
  }
}

// NaN passes, whichever it is.
inline Vec combine(Combine how, Vec a, Vec b) {
  switch (how) {
    case Combine::kAdd: return a + b;
    case Combine::kMultiply: return a * b;
    case Combine::kMaximum: return select(a != a, a, select(a > b, a, b));
    case Combine::kMinimum: return select(a != a, a, select(a < b, a, b));
  }
  return a;
}

// Any terms, any activation.
void any_epilogue_row(const EpilogueRow& row) {
  const facegen::Epilogue& e = *row.epilogue;
  const float *const scale = row.scale(), *const shift = row.shift();
  with_activation(e, [&](auto activate) {
    for_each_vector(row.columns, [&](int i, auto get, auto put) {
      Vec x = get(row.sum + i), other = {};
      if (row.bias != nullptr) x += get(row.bias + i);
      if (row.other != nullptr) other = row.one_other ? broadcast(*row.other) : get(row.other + i);
      if (row.other != nullptr && !e.after_activation) x = combine(e.combine, x, other);
      x = activate(x, row.first + i, get);
      if (row.other != nullptr && e.after_activation) x = combine(e.combine, x, other);
      if (scale != nullptr) x *= get(scale + i);
      if (shift != nullptr) x += get(shift + i);
      put(row.out + i, x);
    });
  });
}

void epilogue(const EpilogueRow& row) {
  const facegen::Epilogue& e = *row.epilogue;
  if (row.other != nullptr && (e.combine != Combine::kAdd || e.after_activation || row.one_other)) {
    return any_epilogue_row(row);
  }
  switch (e.activation) {
    case Activation::kNone: return epilogue_of<Activation::kNone>(row);
    case Activation::kRelu: return epilogue_of<Activation::kRelu>(row);
    case Activation::kLeakyRelu: return epilogue_of<Activation::kLeakyRelu>(row);
    case Activation::kTanh: return epilogue_of<Activation::kTanh>(row);
    default: return any_epilogue_row(row);
  }
}

// The largest of a window's pixels: `Columns` of each row or, where that is 0, `columns`, from `first`
// floats on. NaN wins, as in the naive definition. A sum is NaN if any of its terms is, so it tells
// when to look closely (also at infinities of both signs).
template <int Columns>
inline void max_of_window(const facegen::cpu::PoolLine& line, int64_t first, int columns,
                          float* out) {
  const int count = Columns > 0 ? Columns : columns;
  for_each_vector(line.channels, [&](int i, auto get, auto put) {
    Vec largest = get(line.rows[0] + first + i), sum = {};
    for (int y = 0; y < line.row_count; ++y) {
      const float* pixel = line.rows[y] + first + i;
      FACEGEN_UNROLL(4)
      for (int x = 0; x < count; ++x) {
        const Vec value = get(pixel + x * line.pixel_stride);
        largest = maximum(value, largest);
        sum += value;
      }
    }
    if (any_nan(sum)) {
      for (int y = 0; y < line.row_count; ++y) {
        for (int x = 0; x < count; ++x) {
          const Vec value = get(line.rows[y] + first + x * line.pixel_stride + i);
          largest = select(value != value, value, largest);
        }
      }
    }
    put(out + i, largest);
  });
}

void max_pool(const facegen::cpu::PoolLine& line) {
  float* out = line.out;
  for (int window = 0; window < line.windows; ++window, out += line.out_stride) {
    const int x = window * line.stride - line.pad_left;
    const int first = x > 0 ? x : 0;
    const int last = x + line.kernel < line.width ? x + line.kernel : line.width;
    const int64_t offset = first * line.pixel_stride;
    switch (last - first) {
      case 2: max_of_window<2>(line, offset, 2, out); break;
      case 3: max_of_window<3>(line, offset, 3, out); break;
      default: max_of_window<0>(line, offset, last - first, out);
    }
  }
}

void centre_and_scale(const float* in, const float* centre, const float* scale, float* out,
                      int count) {
  for_each_vector(count, [&](int i, auto get, auto put) {
    put(out + i, (get(in + i) - get(centre + i)) * get(scale + i));
  });
}

void weighted_sum(const float* const* from, const float* weights, int terms, float* out, int count) {
  for_each_vector(count, [&](int i, auto get, auto put) {
    Vec sum = {};
    if (terms > 0) sum = get(from[terms - 1] + i) * weights[terms - 1];
    for (int t = terms - 2; t >= 0; --t) sum = multiply_add(weights[t], get(from[t] + i), sum);
    put(out + i, sum);
  });
}

// Vectors of doubles side by side, the lanes added up in the end: the order depends on the count alone.
void row_moments(const float* in, int count, double* sum, double* squares) {
  const double first = static_cast<double>(in[0]);
  VecD total = {}, square = {};
  int at = 0;
  for (; at + kHalf <= count; at += kHalf) {
    const VecD x = load_doubles(in + at) - first;
    total += x;
    square = multiply_add(x, x, square);
  }
  for (int lane = 0; lane < kHalf; ++lane) {
    *sum += total[lane];
    *squares += square[lane];
  }
  for (; at < count; ++at) {
    const double x = static_cast<double>(in[at]) - first;
    *sum += x;
    *squares += x * x;
  }
}

void centre_and_multiply(const float* in, float centre, float scale, const float* factors,
                         float* out, int count) {
  for_each_vector(count, [&](int i, auto get, auto put) {
    put(out + i, (get(in + i) - centre) * scale * get(factors + i));
  });
}

void response_norm(const facegen::cpu::ResponseRow& row) {
  for_each_vector(row.count, [&](int i, auto get, auto put) {
    const Vec x = get(row.in + i);
    put(row.squares + row.before + i, x * x);
  });
  for_each_vector(row.count, [&](int i, auto get, auto put) {
    Vec sum = {};
    for (int t = 0; t < row.terms; ++t) sum += get(row.squares + i + t);
    const Vec base = multiply_add(row.alpha, sum, broadcast(row.k));
    put(row.out + i, get(row.in + i) * exp(log(base) * -row.beta));
  });
}

void softmax(const float* in, float* out, int count, bool log_of) {
  Vec most = broadcast(in[0]);
  int at = 0;
  for (; at + kLanes <= count; at += kLanes) most = maximum(load(in + at), most);
  float largest = most[0];
  for (int lane = 1; lane < kLanes; ++lane) largest = most[lane] > largest ? most[lane] : largest;
  for (; at < count; ++at) largest = in[at] > largest ? in[at] : largest;
  for_each_vector(count, [&](int i, auto get, auto put) {
    put(out + i, exp(get(in + i) - largest));
  });
  VecD total = {};
  for (at = 0; at + kHalf <= count; at += kHalf) total += load_doubles(out + at);
  double sum = 0.0;
  for (int lane = 0; lane < kHalf; ++lane) sum += total[lane];
  for (; at < count; ++at) sum += static_cast<double>(out[at]);
  if (log_of) {
    const float log_sum = log(broadcast(static_cast<float>(sum)))[0];
    for_each_vector(count, [&](int i, auto get, auto put) {
      put(out + i, get(in + i) - largest - log_sum);
    });
    return;
  }
  const float inverse = static_cast<float>(1.0 / sum);
  for_each_vector(count, [&](int i, auto get, auto put) { put(out + i, get(out + i) * inverse); });
}

}  // namespace
