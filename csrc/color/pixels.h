// A network's values, -1 to 1, as the pixels of the reference program: (int)((x + 1) / 2 * 255).
#pragma once

#include <cstdint>

namespace facegen {

// In float, as C computes it. What lies outside is clamped; NaN becomes 0.
void values_to_pixels(const float* values, int64_t count, int threads, uint8_t* pixels);

}  // namespace facegen
