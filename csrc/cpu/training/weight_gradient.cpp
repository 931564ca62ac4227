#include "cpu/training/weight_gradient.h"

#include <algorithm>
#include <utility>

#include "cpu/gemm.h"
#include "cpu/memory.h"
#include "cpu/pad_rows.h"
#include "cpu/ranges.h"
#include "cpu/training/tree.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// An input of at most so many channels has its rows of taps merged, as in IndirectGemm.
constexpr int kFewChannels = 8;

// What a block of pixels takes of both operands, of so many channels of each as a task has at most:
// half of the L2 cache of most machines.
constexpr int64_t kBlockBytes = int64_t{512} << 10;
constexpr int32_t kBlockChannels = 64;
constexpr int64_t kFewestPixels = 64, kMostPixels = 2048;

// Floats of a task's block of dW. With few pixels a chunk, adding chunks up costs as much as the
// products: then it stays in L1.
constexpr int64_t kTaskFloats = 64 << 10, kFewPixelsTaskFloats = 4 << 10;
constexpr int64_t kFewPixels = 64;  // of a chunk

// A thread should have so many tasks, so that none waits long for another.
constexpr int64_t kTasksAThread = 4;

}  // namespace

WeightGradient::WeightGradient(const TrainingStep& step, const View& x, const View& dy,
                               const TrainingKernels& kernels)
    : kernels_(kernels),
      x_(x),
      dy_(dy),
      inputs_(x.c),
      weight_floats_(int64_t{1} * step.kernel_h * step.kernel_w * x.c) {
  int64_t reached = 0;
  for (const Phase& phase : step.phases) {
    if (phase.y.out <= 0 || phase.x.out <= 0) continue;
    reached += int64_t{1} * phase.y.taps * phase.x.taps;
  }
  reaches_all_ = reached == int64_t{1} * step.kernel_h * step.kernel_w;
  for (Phase phase : step.phases) {
    if (phase.y.out <= 0 || phase.x.out <= 0) continue;
    Axis& axis = phase.x;
    if (step.phases.size() == 1 && axis.dir == 1 && axis.taps > 1 && x.c <= kFewChannels &&
        x.c == x.pixel_stride) {
      // The pixels that a row of taps reads follow one another in memory: one of more channels.
      const int left = std::max(0, -axis.base);
      const int right = std::max(0, (axis.out - 1) * axis.step + axis.base + axis.taps - x.w);
      if (worth_padding(x.w, int64_t{left} + right)) {
        pad_left_ = left, pad_right_ = right;
        x_.w += left + right;
        inputs_ = x.c * axis.taps;
        axis.base += left;
        axis.taps = 1;
      }
    }
    add_phase(phase, step.kernel_w);
  }
  transposed_ = inputs_ < kernels.lanes && dy.c >= kernels.lanes;
}

void WeightGradient::add_phase(const Phase& phase, int kernel_w) {
  const auto& [y, x] = phase;
  const int64_t step_pixels = int64_t{1} * y.step * x.step;
  const int64_t pixel_bytes = 4 * (std::min(dy_.c, kBlockChannels) +
                                   step_pixels * std::min(x_.c, kBlockChannels));
  const int64_t pixels = std::clamp(kBlockBytes / pixel_bytes, kFewestPixels, kMostPixels);
  Part part = {phase, {}, std::max<int64_t>(1, pixels / (int64_t{1} * y.out * x.out)),
               std::clamp<int64_t>(pixels / x.out, 1, y.out)};
  for (int ty = 0; ty < y.taps; ++ty) {
    for (int tx = 0; tx < x.taps; ++tx) {
      const int dy = ty * y.dir + y.base, dx = tx * x.dir + x.base;
      // A merged row reads its first pixel, and others to the right of it.
      const int width = x_.w - (inputs_ / x_.c - 1);
      const Range ys = valid_outputs(dy, y.step, x_.h, y.out);
      const Range xs = valid_outputs(dx, x.step, width, x.out);
      const int64_t weight = int64_t{1} * (y.first_tap + ty * y.tap_step) * kernel_w +
                             x.first_tap + tx * x.tap_step;
      part.taps.push_back({ys.first, ys.last, xs.first, xs.last,
                           (int64_t{dy} * x_.w + dx) * x_.pixel_stride, weight * x_.c});
    }
  }
  if (!part.taps.empty()) parts_.push_back(std::move(part));
}

void WeightGradient::run(int64_t images, const float* x, const float* dy, float* gradient,
                         int threads) const {
  if (pad_left_ + pad_right_ > 0) {
    const Images plain = {const_cast<float*>(x),
                          int64_t{x_.h} * (x_.w - pad_left_ - pad_right_) * x_.c};
    x = pad_rows(images, plain, x_, pad_left_, pad_right_, threads).data;
  }
  if (!reaches_all_) std::fill_n(gradient, dy_.c * weight_floats_, 0.0f);
  const std::vector<Task> tasks = cut(images, threads);
  parallel_for(static_cast<int64_t>(tasks.size()), threads, [&](int64_t i, int) {
    run_task(tasks[static_cast<std::size_t>(i)], images, x, dy, gradient);
  });
}

// Only speed depends on how dW is cut.
std::vector<WeightGradient::Task> WeightGradient::cut(int64_t images, int threads) const {
  const int64_t lanes = kernels_.lanes, tile = kernels_.outer_rows;
  std::vector<Task> tasks;
  for (const Part& part : parts_) {
    const int64_t pixels = int64_t{1} * part.phase.y.out * part.phase.x.out;
    const bool few = pixels * std::min(images, kChunkImages) <= kFewPixels;
    const int64_t most = few ? kFewPixelsTaskFloats : kTaskFloats;
    const auto taps = static_cast<int64_t>(part.taps.size());
    const int64_t row_tiles = divide_up(int64_t{rows()}, tile);
    const int64_t column_pairs = divide_up(int64_t{columns()}, 2 * lanes);
    int64_t tap_parts = 1, row_parts = divide_up(row_tiles, 4), column_parts = 1;
    const auto floats = [&] {
      return divide_up(taps, tap_parts) * divide_up(row_tiles, row_parts) * tile *
             divide_up(column_pairs, column_parts) * 2 * lanes;
    };
    const auto count = [&] { return tap_parts * row_parts * column_parts; };
    const int64_t wanted =
        threads > 1 ? divide_up(kTasksAThread * threads, static_cast<int64_t>(parts_.size())) : 1;
    while (floats() > most || count() < wanted) {
      if (column_parts < column_pairs) {
        column_parts = std::min(column_pairs, 2 * column_parts);
      } else if (tap_parts < taps) {
        tap_parts = std::min(taps, 2 * tap_parts);
      } else if (row_parts < row_tiles) {
        row_parts = std::min(row_tiles, 2 * row_parts);
      } else {
        break;
      }
    }
    for (int64_t r = 0; r < row_parts; ++r) {
      for (int64_t c = 0; c < column_parts; ++c) {
        for (int64_t t = 0; t < tap_parts; ++t) {
          tasks.push_back(
              {&part, taps * t / tap_parts, taps * (t + 1) / tap_parts,
               static_cast<int>(rows() * r / row_parts), static_cast<int>(rows() * (r + 1) / row_parts),
               static_cast<int>(column_pairs * c / column_parts * 2 * lanes),
               static_cast<int>(std::min<int64_t>(
                   columns(), column_pairs * (c + 1) / column_parts * 2 * lanes))});
        }
      }
    }
  }
  return tasks;
}

int64_t WeightGradient::column_stride(const Task& task) const {
  return divide_up(task.columns(), int64_t{kernels_.lanes}) * kernels_.lanes;
}

void WeightGradient::run_task(const Task& task, int64_t images, const float* x, const float* dy,
                              float* gradient) const {
  static thread_local Scratch scratch;
  static thread_local std::vector<PixelRun> runs;
  const Part& part = *task.part;
  const Chunks chunks = {images};
  const int64_t stride = column_stride(task), tap_floats = task.rows() * stride;
  const int64_t floats = (task.last_tap - task.first_tap) * tap_floats;
  float* const memory = scratch.get<float>(TreeSum<float>::memory_size(chunks.count(), floats));
  TreeSum<float> sum(memory, floats, kernels_.add);
  for (int64_t chunk = 0; chunk < chunks.count(); ++chunk, sum.push()) {
    bool accumulate = false;
    const auto add_block = [&](int64_t first, int64_t last, int64_t line, int64_t last_line) {
      float* c = sum.next();
      for (int64_t t = task.first_tap; t < task.last_tap; ++t, c += tap_floats) {
        find_runs(part, part.taps[static_cast<std::size_t>(t)], x, dy, first, last, line, last_line,
                  runs);
        kernels_.outer_product({runs.data(), static_cast<int64_t>(runs.size()), task.first_row,
                                task.first_column, static_cast<int>(task.rows()),
                                static_cast<int>(task.columns()), c, stride, accumulate});
      }
      accumulate = true;
    };
    const int64_t end = chunks.last(chunk), lines = part.phase.y.out;
    for (int64_t image = chunks.first(chunk); image < end; image += part.block_images) {
      const int64_t last = std::min(end, image + part.block_images);
      for (int64_t line = 0; line < lines; line += part.block_lines) {
        add_block(image, last, line, std::min(lines, line + part.block_lines));
      }
    }
  }
  write(task, sum.finish(), gradient);
}

void WeightGradient::write(const Task& task, const float* c, float* gradient) const {
  const int64_t stride = column_stride(task);
  for (int64_t t = task.first_tap; t < task.last_tap; ++t) {
    float* const tap = gradient + task.part->taps[static_cast<std::size_t>(t)].weight;
    for (int64_t row = task.first_row; row < task.last_row; ++row, c += stride) {
      if (!transposed_) {
        std::copy_n(c, task.columns(), tap + row * weight_floats_ + task.first_column);
        continue;
      }
      for (int64_t i = 0; i < task.columns(); ++i) {
        tap[(task.first_column + i) * weight_floats_ + row] = c[i];
      }
    }
  }
}

// Runs of the outputs in some lines of some images that read inside the input by `tap`.
void WeightGradient::find_runs(const Part& part, const Tap& tap, const float* x, const float* dy,
                               int64_t first, int64_t last, int64_t first_line, int64_t last_line,
                               std::vector<PixelRun>& runs) const {
  runs.clear();
  const Axis& ay = part.phase.y;
  const Axis& ax = part.phase.x;
  const int64_t x_pixel = x_.pixel_stride, dy_pixel = dy_.pixel_stride;
  const int64_t x_image = int64_t{x_.h} * x_.w * x_pixel;
  const int64_t dy_image = int64_t{dy_.h} * dy_.w * dy_pixel;
  first_line = std::max<int64_t>(first_line, tap.y_first);
  last_line = std::min<int64_t>(last_line, tap.y_last);
  const int64_t count = tap.x_last - tap.x_first, lines = last_line - first_line;
  if (count <= 0 || lines <= 0) return;
  const auto at = [&](int64_t image, int64_t line) {
    const int64_t pixel = (ay.out_origin + line * ay.out_step) * dy_.w + ax.out_origin +
                          int64_t{tap.x_first} * ax.out_step;
    return PixelRun{dy + image * dy_image + pixel * dy_pixel,
                    x + image * x_image + tap.x_offset +
                        (line * ay.step * x_.w + int64_t{tap.x_first} * ax.step) * x_pixel,
                    ax.out_step * dy_pixel, ax.step * x_pixel, count};
  };
  const auto add = [&](PixelRun run) {
    if (transposed_) {
      std::swap(run.a, run.b);
      std::swap(run.a_stride, run.b_stride);
    }
    runs.push_back(run);
  };
  if (count * lines == 1) {  // maps of one pixel: along the images
    PixelRun run = at(first, first_line);
    run.a_stride = dy_image, run.b_stride = x_image, run.count = last - first;
    add(run);
    return;
  }
  // Lines that follow one another in both operands are one.
  const bool joined = count * ax.out_step == int64_t{ay.out_step} * dy_.w &&
                      count * ax.step == int64_t{ay.step} * x_.w;
  for (int64_t image = first; image < last; ++image) {
    if (joined) {
      PixelRun run = at(image, first_line);
      run.count = count * lines;
      add(run);
      continue;
    }
    for (int64_t line = first_line; line < last_line; ++line) add(at(image, line));
  }
}

}  // namespace facegen::cpu
