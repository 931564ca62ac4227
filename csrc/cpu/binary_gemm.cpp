#include "cpu/binary_gemm.h"

#include <algorithm>
#include <cstring>

#include "cpu/dispatch.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Sums are floats, and exact up to here.
constexpr int64_t kMostProducts = int64_t{1} << 24;

}  // namespace

bool BinaryGemm::suits(const Step& step, const Kernels&) {
  return step.binary && step.finish == nullptr && step.phase_count == 1 &&
         step.phases[0].y.taps > 0 && step.phases[0].x.taps > 0 &&
         int64_t{1} * step.kernel_h * step.kernel_w * step.in.c < kMostProducts;
}

BinaryGemm::BinaryGemm(const Step& step, const Kernels& kernels)
    : binary_(binary_kernels(kernels)),
      in_(step.in),
      y_(step.phases[0].y),
      x_(step.phases[0].x),
      writer_(step, kernels),
      kernel_w_(step.kernel_w),
      pixel_bytes_(binary_.pixel_bytes(step.in.c)),
      row_bytes_(pixel_bytes_ * taps()),
      panels_(static_cast<int>(divide_up(step.out.c, binary_.panel_columns))) {
  packed_ = allocate_aligned<uint8_t>(panels_ * binary_.panel_bytes(row_bytes_));
  tap_sums_ = allocate_aligned<float>(int64_t{1} * taps() * panels_ * binary_.panel_columns);
}

void BinaryGemm::pack(const Weights& weights, int threads) {
  const int columns = binary_.panel_columns;
  const int64_t stride = int64_t{1} * panels_ * columns;
  std::fill_n(tap_sums_.get(), taps() * stride, 0.0f);
  parallel_for(panels_, threads, [&](int64_t panel, int) {
    std::vector<uint8_t> codes(static_cast<std::size_t>(columns * row_bytes_));
    std::vector<float> pixel(static_cast<std::size_t>(in_.c));
    const auto first = static_cast<int>(panel * columns), count = std::min(columns, writer_.out.c - first);
    for (int n = 0; n < count; ++n) {
      for (int t = 0; t < taps(); ++t) {
        const int64_t tap = int64_t{1} * (y_.first_tap + t / x_.taps * y_.tap_step) * kernel_w_ +
                            x_.first_tap + t % x_.taps * x_.tap_step;
        const float* from =
            weights.data + (first + n) * weights.output_stride + tap * weights.tap_stride;
        float sum = 0.0f;
        for (int c = 0; c < in_.c; ++c) {
          const float weight = from[c * weights.input_stride];
          pixel[static_cast<std::size_t>(c)] = weight;
          sum += weight < 0.0f ? -1.0f : 1.0f;
        }
        tap_sums_[t * stride + first + n] = sum;
        binary_.encode(pixel.data(), in_.c, codes.data() + n * row_bytes_ + t * pixel_bytes_);
      }
    }
    binary_.pack(codes.data(), row_bytes_, count, packed_.get() + panel * binary_.panel_bytes(row_bytes_));
  });
}

Costs BinaryGemm::costs() const {
  const int64_t columns = int64_t{1} * panels_ * binary_.panel_columns;
  Costs costs;
  costs.weight_bytes = panels_ * binary_.panel_bytes(row_bytes_) + 4 * taps() * columns;
  const int64_t map_bytes = int64_t{1} * in_.h * in_.w * pixel_bytes_;
  const int64_t row = row_bytes_ + 4 * columns + 4;
  costs.scratch_bytes = map_bytes + binary_.most_rows * row + binary_.scratch_bytes(row_bytes_);
  return costs;
}

void BinaryGemm::run(int64_t images, Images in, Images out, Images add, int threads) const {
  // The signs of all pixels of the batch.
  static thread_local Scratch code_scratch;
  const int64_t row = int64_t{1} * in_.w * pixel_bytes_, lines = images * in_.h;
  uint8_t* const codes = code_scratch.get<uint8_t>(lines * row);
  parallel_for(lines, threads, [&](int64_t line, int) {
    const float* from = in.data + line / in_.h * in.image_stride +
                        line % in_.h * in_.w * in_.pixel_stride;
    for (int x = 0; x < in_.w; ++x) {
      binary_.encode(from + x * in_.pixel_stride, in_.c, codes + line * row + x * pixel_bytes_);
    }
  });

  const int64_t rows = images * writer_.out.h * writer_.out.w;
  // Where there are few rows, the panels are shared too; only speed depends on it.
  const int64_t blocks = divide_up(rows, binary_.most_rows);
  const int64_t parts =
      threads == 1 ? 1 : std::clamp<int64_t>(divide_up(4 * int64_t{threads}, blocks), 1, panels_);
  parallel_for(blocks * parts, threads, [&](int64_t i, int) {
    const int64_t block = i / parts, part = i % parts;
    run_task({rows * block / blocks, rows * (block + 1) / blocks,
              static_cast<int>(panels_ * part / parts),
              static_cast<int>(panels_ * (part + 1) / parts)},
             codes, out, add);
  });
}

void BinaryGemm::run_task(const Task& task, const uint8_t* codes, Images out, Images add) const {
  static thread_local Scratch row_scratch, sign_scratch, kernel_scratch, sum_scratch;
  static thread_local std::vector<int> outside;  // (row, tap) of taps outside the input
  const auto count = static_cast<int>(task.row_end - task.row_begin);
  const int panels = task.panel_end - task.panel_begin;
  const int64_t columns = int64_t{1} * panels * binary_.panel_columns;
  auto* rows = row_scratch.get<uint8_t>(count * row_bytes_);
  auto* signs = sign_scratch.get<int32_t>(count);
  auto* sums = sum_scratch.get<float>(count * columns);
  gather(task, codes, rows, signs, outside);
  const int first = task.panel_begin * binary_.panel_columns;
  binary_.multiply({rows, row_bytes_, count, packed_.get() + task.panel_begin * binary_.panel_bytes(row_bytes_),
                    panels, signs,
                    kernel_scratch.get<uint8_t>(binary_.scratch_bytes(row_bytes_)), sums});
  for (std::size_t i = 0; i < outside.size(); i += 2) {
    float* to = sums + outside[i] * columns;
    const float* of_tap =
        tap_sums_.get() + int64_t{1} * outside[i + 1] * panels_ * binary_.panel_columns + first;
    for (int64_t n = 0; n < columns; ++n) to[n] -= of_tap[n];
  }
  finish(task, sums, out, add);
}

// Rows of A. A tap outside the input counts here as if it read +1 everywhere.
void BinaryGemm::gather(const Task& task, const uint8_t* codes, uint8_t* rows, int32_t* signs,
                        std::vector<int>& outside) const {
  const int64_t map = int64_t{1} * writer_.out.h * writer_.out.w;
  const auto bytes = [&](int pixels) { return static_cast<std::size_t>(pixels * pixel_bytes_); };
  // The taps that are neighbours in the input are copied at once.
  const int run = x_.dir == 1 ? x_.taps : 1;
  outside.clear();
  for (int64_t m = task.row_begin; m < task.row_end; ++m) {
    const int64_t image = m / map;
    const auto pixel = static_cast<int>(m % map);
    const int y = pixel / writer_.out.w * y_.step + y_.base, x = pixel % writer_.out.w * x_.step + x_.base;
    const auto r = static_cast<int>(m - task.row_begin);
    for (int ty = 0; ty < y_.taps; ++ty) {
      const int iy = y + ty * y_.dir;
      for (int tx = 0; tx < x_.taps; tx += run, rows += bytes(run)) {
        const int ix = x + tx * x_.dir;
        int first = 0, last = 0;  // of the run, inside the input
        if (iy >= 0 && iy < in_.h) {
          first = std::clamp(-ix, 0, run);
          last = std::clamp(in_.w - ix, first, run);
        }
        if (last - first < run) {
          std::memset(rows, 0, bytes(run));
          for (int t = 0; t < run; ++t) {
            if (t < first || t >= last) outside.insert(outside.end(), {r, ty * x_.taps + tx + t});
          }
        }
        if (last > first) {
          const int64_t from = (image * in_.h + iy) * in_.w + ix + first;
          std::memcpy(rows + bytes(first), codes + from * pixel_bytes_, bytes(last - first));
        }
      }
    }
    signs[r] = taps() * in_.c;
  }
}

void BinaryGemm::finish(const Task& task, const float* sums, Images out, Images add) const {
  const View& to = writer_.out;
  const int64_t map = int64_t{1} * to.h * to.w;
  const int first = task.panel_begin * binary_.panel_columns;
  const int last = std::min(task.panel_end * binary_.panel_columns, to.c);
  const int64_t stride = int64_t{1} * (task.panel_end - task.panel_begin) * binary_.panel_columns;
  for (int64_t m = task.row_begin; m < task.row_end; ++m, sums += stride) {
    writer_.write(sums, out, add, m / map, m % map / to.w, m % to.w, first, last - first);
  }
}

}  // namespace facegen::cpu
