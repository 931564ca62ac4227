// What becomes of a parameter when the optimizer has changed it: rounding, and its moving average.
#pragma once

#include "cpu/training/kernels.h"
#include "isa/activation_gradients.h"  // for_each_vector_of
#include "isa/vec.h"
#include "weight_rounding.h"

namespace {

using facegen::cpu::AverageRow;
using facegen::cpu::WeightRoundingRow;

void move_average(const AverageRow& row) {
  for_each_vector_of(row.count, [&](int64_t i, auto get, auto put) {
    const Vec a = get(row.average + i);
    put(row.average + i, multiply_add(row.rest, get(row.parameter + i) - a, a));
  });
}

typedef uint32_t Bits __attribute__((may_alias));

// The draws of a block, by places side by side, of which the compiler makes vectors.
inline void draw_addends(uint64_t place, const WeightRoundingRow& row,
                         uint32_t (&addends)[facegen::kDrawBlock]) {
  for (int t = 0; t < facegen::kDrawRow; ++t) {
    uint32_t words[4];
    facegen::philox(place + static_cast<uint64_t>(t), row.step, row.key, words);
    for (int k = 0; k < facegen::kDrawsOfCall; ++k) {
      addends[k * facegen::kDrawRow + t] = facegen::rounding_draw(words, k);
    }
  }
}

void round_weights(const WeightRoundingRow& row) {
  Bits* const weights = reinterpret_cast<Bits*>(row.weights);
  const int64_t count = row.count;
  if (!row.stochastic) {
    for (int64_t i = 0; i < count; ++i) {
      const uint32_t bits = weights[i];
      weights[i] = facegen::rounded_weight(bits, facegen::nearest_addend(bits));
    }
    return;
  }
  uint32_t addends[facegen::kDrawBlock];
  for (int64_t first = 0; first < count; first += facegen::kDrawBlock) {
    draw_addends(static_cast<uint64_t>(row.first + first) / facegen::kDrawsOfCall, row, addends);
    Bits* const block = weights + first;
    const int64_t left = count - first;
    const int64_t numbers = left < facegen::kDrawBlock ? left : facegen::kDrawBlock;
    for (int64_t i = 0; i < numbers; ++i) {
      block[i] = facegen::rounded_weight(block[i], addends[i]);
    }
  }
}

}  // namespace
