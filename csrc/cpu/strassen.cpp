#include "cpu/strassen.h"

#include <algorithm>

namespace facegen::cpu {
namespace {

using Terms = std::vector<StrassenTerm>;

// Blocks 11, 12, 21, 22 are 0, 1, 2, 3.
const std::vector<StrassenProduct>& one_level() {
  static const std::vector<StrassenProduct> products = {
      {{{0, 1}, {3, 1}}, {{0, 1}, {3, 1}}, {{0, 1}, {3, 1}}},
      {{{2, 1}, {3, 1}}, {{0, 1}}, {{2, 1}, {3, -1}}},
      {{{0, 1}}, {{1, 1}, {3, -1}}, {{1, 1}, {3, 1}}},
      {{{3, 1}}, {{2, 1}, {0, -1}}, {{0, 1}, {2, 1}}},
      {{{0, 1}, {1, 1}}, {{3, 1}}, {{0, -1}, {1, 1}}},
      {{{2, 1}, {0, -1}}, {{0, 1}, {1, 1}}, {{3, 1}}},
      {{{1, 1}, {3, -1}}, {{2, 1}, {3, 1}}, {{0, 1}}},
  };
  return products;
}

// Every block of `outer` cut once more, as `inner` says.
Terms cut(const Terms& outer, int outer_side, const Terms& inner) {
  Terms terms;
  for (const auto& [at, sign] : outer) {
    for (const auto& [inner_at, inner_sign] : inner) {
      const int row = at / outer_side * 2 + inner_at / 2, column = at % outer_side * 2 + inner_at % 2;
      terms.push_back({row * outer_side * 2 + column, sign * inner_sign});
    }
  }
  return terms;
}

}  // namespace

std::vector<StrassenProduct> strassen_products(int levels) {
  std::vector<StrassenProduct> products = {{{{0, 1}}, {{0, 1}}, {{0, 1}}}};
  for (int side = 1; levels > 0; --levels, side *= 2) {
    std::vector<StrassenProduct> finer;
    for (const StrassenProduct& outer : products) {
      for (const StrassenProduct& inner : one_level()) {
        finer.push_back({cut(outer.a, side, inner.a), cut(outer.b, side, inner.b),
                         cut(outer.c, side, inner.c)});
      }
    }
    products = std::move(finer);
  }
  return products;
}

int strassen_levels(int64_t rows, int64_t depth, int64_t columns) {
  constexpr int64_t kOne = 1536, kTwo = 6144;
  const int64_t least = std::min({rows, depth, columns});
  return least >= kTwo ? 2 : least >= kOne ? 1 : 0;
}

}  // namespace facegen::cpu
