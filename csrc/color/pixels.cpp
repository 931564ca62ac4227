#include "color/pixels.h"

#include <algorithm>

#include "color/wider.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen {
namespace {

// Enough work in a task to hide the cost of handing it out.
constexpr int64_t kTaskValues = 1 << 16;

inline uint8_t to_pixel(float value) {
  const float scaled = (value + 1.0f) / 2.0f * 255.0f;
  const float above = scaled > 0.0f ? scaled : 0.0f;  // not of NaN
  return static_cast<uint8_t>(static_cast<int32_t>(above < 255.0f ? above : 255.0f));
}

FACEGEN_WIDER void convert(const float* values, int64_t count, uint8_t* pixels) {
  for (int64_t i = 0; i < count; ++i) pixels[i] = to_pixel(values[i]);
}

}  // namespace

void values_to_pixels(const float* values, int64_t count, int threads, uint8_t* pixels) {
  parallel_for(divide_up(count, kTaskValues), threads, [&](int64_t task, int) {
    const int64_t first = task * kTaskValues;
    convert(values + first, std::min(kTaskValues, count - first), pixels + first);
  });
}

}  // namespace facegen
