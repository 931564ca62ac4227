#include "cpu/pad_rows.h"

#include <algorithm>

#include "cpu/memory.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {

Images pad_rows(int64_t images, Images in, const View& padded, int left, int right, int threads) {
  static thread_local Scratch scratch;
  const int64_t pixel = padded.pixel_stride, row = padded.w * pixel;
  const int64_t front = left * pixel, back = right * pixel, middle = row - front - back;
  float* copy = scratch.get<float>(images * padded.h * row);
  constexpr int kRows = 16;  // of a task
  const int64_t parts = divide_up(padded.h, kRows);
  parallel_for(images * parts, threads, [&](int64_t task, int) {
    const int64_t image = task / parts, first = task % parts * kRows;
    const int64_t last = std::min<int64_t>(first + kRows, padded.h);
    for (int64_t y = first; y < last; ++y) {
      const float* from = in.data + image * in.image_stride + y * middle;
      float* to = copy + (image * padded.h + y) * row;
      std::fill_n(to, front, 0.0f);
      std::copy_n(from, middle, to + front);
      std::fill_n(to + front + middle, back, 0.0f);
    }
  });
  return {copy, padded.h * row};
}

}  // namespace facegen::cpu
