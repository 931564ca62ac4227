#include "cpu/thin_gemm.h"

#include <algorithm>

#include "threads.h"

namespace facegen::cpu {
namespace {

// A transposed strip stays in L2.
constexpr int64_t kStripFloats = (int64_t{256} << 10) / 4;
constexpr int kMostColumns = 4;

}  // namespace

bool ThinGemm::suits(const Step& step, const Kernels& kernels) {
  if (step.out.c > kMostColumns || step.epilogue.add.buffer >= 0) return false;
  bool taps = false;
  for (int i = 0; i < step.phase_count; ++i) {
    const auto& [y, x] = step.phases[i];
    if (y.step != 1 || x.step != 1) return false;
    taps = taps || (y.taps > 0 && x.taps > 0);
    if (x.out > 0 && x.out < kernels.lanes / 2) return false;
  }
  return taps;
}

ThinGemm::ThinGemm(const Step& step, const Kernels& kernels)
    : kernels_(kernels),
      in_(step.in),
      out_(step.out),
      epilogue_(step.epilogue),
      bias_(step.bias) {
  int64_t weight_count = 0;
  for (int i = 0; i < step.phase_count; ++i) {
    const Phase& phase = step.phases[i];
    if (phase.y.out <= 0 || phase.x.out <= 0) continue;
    out_h_ = std::max(out_h_, phase.y.out);
    out_w_ = std::max(out_w_, phase.x.out);
    const auto widen = [](const Axis& axis, int& before, int& after) {
      if (axis.taps == 0) return;
      const int last = axis.base + (axis.taps - 1) * axis.dir;
      before = std::max(before, -std::min(axis.base, last));
      after = std::max(after, std::max(axis.base, last));
    };
    widen(phase.y, top_, bottom_);
    widen(phase.x, left_, right_);
    phases_.push_back({phase, {}, weight_count});
    weight_count += int64_t{1} * phase.y.taps * phase.x.taps * in_.c * out_.c;
  }
  // Whole vectors are loaded, so a row is as long as its last vector reaches.
  const int64_t lanes = kernels.lanes;
  row_stride_ = left_ + right_ + (out_w_ + lanes - 1) / lanes * lanes;
  const int64_t halo = top_ + bottom_;
  strip_rows_ = static_cast<int>(
      std::clamp<int64_t>(kStripFloats / (row_stride_ * in_.c) - halo, 1, out_h_));
  channel_stride_ = (strip_rows_ + halo) * row_stride_;

  weights_ = allocate_aligned<float>(weight_count);
  for (PhaseWeights& p : phases_) {
    const auto& [y, x] = p.phase;
    float* to = weights_.get() + p.weights;
    for (int c = 0; c < in_.c; ++c) {
      for (int ty = 0; ty < y.taps; ++ty) {
        for (int tx = 0; tx < x.taps; ++tx) {
          const int64_t tap = int64_t{1} * (y.first_tap + ty * y.tap_step) * step.kernel_w +
                              x.first_tap + tx * x.tap_step;
          for (int n = 0; n < out_.c; ++n) {
            *to++ = step.weight[(int64_t{n} * step.kernel_h * step.kernel_w + tap) * in_.c + c];
          }
        }
      }
    }
    for (int ty = 0; ty < y.taps; ++ty) {
      for (int tx = 0; tx < x.taps; ++tx) {
        p.tap_offset.push_back((y.base + ty * y.dir) * row_stride_ + x.base + tx * x.dir);
      }
    }
  }
}

void ThinGemm::run(int64_t images, Images in, Images out, int threads) const {
  // Shorter strips where there would be too few for the threads; each repeats the halo's transpose.
  const int64_t strips = (out_h_ + strip_rows_ - 1) / strip_rows_;
  const int64_t parts = std::min<int64_t>(
      out_h_, std::max(strips, (2 * int64_t{threads} + images - 1) / images));
  const int64_t rows = (out_h_ + parts - 1) / parts;
  const int64_t count = (out_h_ + rows - 1) / rows;
  parallel_for(images * count, threads, [&](int64_t task, int) {
    const auto first = static_cast<int>(task % count * rows);
    run_strip(in, out, task / count, first, std::min<int>(out_h_, first + static_cast<int>(rows)));
  });
}

void ThinGemm::transpose_strip(Images in, int64_t image, int first, int last, float* strip) const {
  const int pixels = static_cast<int>(std::min<int64_t>(in_.w, row_stride_ - left_));
  const int64_t right = left_ + pixels;
  for (int iy = first - top_; iy < last + bottom_; ++iy) {
    float* row = strip + (iy - first + top_) * row_stride_;
    const bool inside = iy >= 0 && iy < in_.h;
    if (inside) {
      kernels_.transpose(
          in.data + image * in.image_stride + int64_t{iy} * in_.w * in_.pixel_stride,
          in_.pixel_stride, pixels, in_.c, row + left_, channel_stride_);
    }
    for (int c = 0; c < in_.c; ++c) {
      float* line = row + c * channel_stride_;
      std::fill(line, line + (inside ? left_ : row_stride_), 0.0f);
      if (inside) std::fill(line + right, line + row_stride_, 0.0f);
    }
  }
}

void ThinGemm::run_strip(Images in, Images out, int64_t image, int first, int last) const {
  static thread_local Scratch strip_scratch, sum_scratch;
  const int lanes = kernels_.lanes;
  const int vectors = kernels_.thin_vectors;
  float* strip = strip_scratch.get<float>(channel_stride_ * in_.c);
  float* sums = sum_scratch.get<float>(int64_t{kMostColumns} * vectors * lanes);
  transpose_strip(in, image, first, last, strip);
  const float* origin = strip + top_ * row_stride_ + left_;  // output (first, 0), no tap offset
  for (const PhaseWeights& p : phases_) {
    const int rows = std::min(last, p.phase.y.out) - first;
    const int row_vectors = (p.phase.x.out + lanes - 1) / lanes;
    const int total = rows * row_vectors;
    for (int begin = 0; begin < total; begin += vectors) {
      const float* pixels[16];
      for (int v = 0; v < vectors; ++v) {
        const int i = std::min(begin + v, total - 1);  // the last group repeats its last vector
        pixels[v] = origin + i / row_vectors * row_stride_ + i % row_vectors * lanes;
      }
      kernels_.thin_multiply({pixels, channel_stride_, in_.c, p.tap_offset.data(),
                              static_cast<int>(p.tap_offset.size()), weights_.get() + p.weights,
                              out_.c, sums});
      activate(sums);
      for (int v = 0; v < std::min(vectors, total - begin); ++v) {
        const int i = begin + v;
        const int ox = i % row_vectors * lanes;
        write(p, sums + v * lanes, out, image, first + i / row_vectors, ox,
              std::min(lanes, p.phase.x.out - ox));
      }
    }
  }
}

// Bias and activation of a whole tile of sums (columns, thin_vectors * lanes), in place.
void ThinGemm::activate(float* sums) const {
  const int width = kernels_.thin_vectors * kernels_.lanes;
  if (bias_ != nullptr) {
    for (int n = 0; n < out_.c; ++n) {
      for (int i = 0; i < width; ++i) sums[n * width + i] += bias_[n];
    }
  }
  kernels_.epilogue({sums, nullptr, nullptr, nullptr, nullptr, epilogue_.activation,
                     epilogue_.slope, sums, out_.c * width});
}

// Writes `count` neighbouring pixels of one phase; sums are (columns, thin_vectors * lanes).
void ThinGemm::write(const PhaseWeights& p, const float* sums, Images out, int64_t image, int oy,
                     int ox, int count) const {
  const int width = kernels_.thin_vectors * kernels_.lanes;
  const auto& [y, x] = p.phase;
  const int64_t first = int64_t{y.out_origin + oy * y.out_step} * out_.w + x.out_origin +
                        int64_t{ox} * x.out_step;
  const int64_t stride = x.out_step * out_.pixel_stride;
  for (int n = 0; n < out_.c; ++n) {
    const float scale = epilogue_.scale == nullptr ? 1.0f : epilogue_.scale[n];
    const float shift = epilogue_.shift == nullptr ? 0.0f : epilogue_.shift[n];
    float* to = out.data + image * out.image_stride + first * out_.pixel_stride + n;
    for (int i = 0; i < count; ++i) to[i * stride] = sums[n * width + i] * scale + shift;
  }
}

}  // namespace facegen::cpu
