// A row of outputs is made in two passes: rows of the input become one line, whose pixels become the
// outputs. So what the rows of a line have in common is computed once, whatever is made of its pixels.
#include "cpu/resample.h"

#include <algorithm>
#include <limits>

#include "cpu/memory.h"

namespace facegen::cpu {
namespace {

// The pixels of a line that outputs are made of.
struct Extent {
  int32_t first, end;
};

Extent extent_of(const AxisTaps& axis, int32_t out) {
  Extent extent = {0, 0};
  for (int64_t i = 0; i < int64_t{out} * axis.taps; ++i) {
    const int32_t at = axis.positions[i];
    if (at < 0) continue;
    const bool empty = extent.first == extent.end;
    extent.first = empty ? at : std::min(extent.first, at);
    extent.end = empty ? at + 1 : std::max(extent.end, at + 1);
  }
  return extent;
}

// What one output is the sum of.
struct Terms {
  const float** from;
  float* weights;
  int count = 0;

  // `pixel_of(position)`: where it lies.
  template <typename Pixel>
  void take(const AxisTaps& axis, int64_t output, Pixel pixel_of) {
    count = 0;
    for (int64_t i = output * axis.taps; i < (output + 1) * axis.taps; ++i) {
      if (axis.positions[i] < 0) continue;
      from[count] = pixel_of(axis.positions[i]);
      weights[count++] = axis.weights[i];
    }
  }
  bool is_copy() const { return count == 1 && weights[0] == 1.0f; }
};

}  // namespace

void resample(const StepCall& call) {
  const Step& step = call.step;
  const View &in = step.in, &out = step.out;
  const Extent extent = extent_of(step.columns, out.w);
  const int64_t width = extent.end - extent.first, c = out.c;
  const bool plain = is_identity(step.epilogue);
  const bool dense =
      in.pixel_stride == c && width * c <= std::numeric_limits<int32_t>::max();
  for_each_row(call, [&](int64_t image, int64_t oy) {
    static thread_local Scratch line_scratch, from_scratch, weight_scratch;
    float* line = line_scratch.get<float>(width * c);
    const int64_t most = std::max(step.rows.taps, step.columns.taps);
    Terms terms = {from_scratch.get<const float*>(most), weight_scratch.get<float>(most)};

    terms.take(step.rows, oy, [&](int32_t iy) {
      return pixel(call.in, in, image, iy, extent.first);
    });
    int64_t line_stride = c;
    if (terms.is_copy()) {  // the input's row is the line
      line = const_cast<float*>(terms.from[0]);
      line_stride = in.pixel_stride;
    } else if (dense) {
      call.kernels.weighted_sum(terms.from, terms.weights, terms.count, line,
                                static_cast<int>(width * c));
    } else {
      for (int64_t x = 0; x < width; ++x) {
        call.kernels.weighted_sum(terms.from, terms.weights, terms.count, line + x * c, c);
        for (int t = 0; t < terms.count; ++t) terms.from[t] += in.pixel_stride;
      }
    }

    float* to = pixel(call.out, out, image, oy, 0);
    for (int64_t ox = 0; ox < out.w; ++ox, to += out.pixel_stride) {
      terms.take(step.columns, ox, [&](int32_t ix) {
        return line + (ix - extent.first) * line_stride;
      });
      if (terms.is_copy() && !plain) {
        finish_pixel(call, terms.from[0], image, oy, ox);
        continue;
      }
      call.kernels.weighted_sum(terms.from, terms.weights, terms.count, to, c);
      if (!plain) finish_pixel(call, to, image, oy, ox);
    }
  });
}

}  // namespace facegen::cpu
