// The one gate of a Program that comes from outside: what passes it, the engines trust.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "program.h"

namespace facegen {

// The most that a size or a position along an axis may be, and each term that a position is the sum
// of. Three of them and a size still fit int32_t, which the engines compute positions in.
constexpr int32_t kMostPositions = 1 << 29;
// The most pixels of a map.
constexpr int64_t kMostPixels = int64_t{1} << 30;
// The most floats of a buffer and of the arena: no machine has as many.
constexpr int64_t kMostFloats = int64_t{1} << 46;

// Every function throws std::invalid_argument, which says what is wrong.
void check_buffers(const Program& program);
void check_view(const View& view, const Program& program);
// The step's views have been checked, but for its finish's input. `shapes_alone`: buffers have no
// places in the arena yet.
void check_step(const Step& step, const Program& program, bool shapes_alone = false);
// Steps that belong together follow one another, and constant ones come first.
void check_order(const Program& program);

// The product of sizes that are at least 0; -1 where it is above kMostFloats.
int64_t product(std::initializer_list<int64_t> sizes);

}  // namespace facegen
