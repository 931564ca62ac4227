#include "cpu/thin_gemm.h"

#include <algorithm>

#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Channels that are transposed at a time, and what they may take of L1.
constexpr int kChannels = 16;
constexpr int64_t kStripFloats = (int64_t{32} << 10) / 4;
constexpr int kMostColumns = 4;

// A strip holds the rows and columns that its outputs' windows reach: with taps far apart these are
// more than the map.
constexpr int64_t kMostStripFloats = int64_t{1} << 22;

// How far an axis reads before output * step, and behind it.
void widen(const Axis& axis, int& before, int& after) {
  if (axis.taps == 0) return;
  const int last = axis.base + (axis.taps - 1) * axis.dir;
  before = std::max(before, -std::min(axis.base, last));
  after = std::max(after, std::max(axis.base, last));
}

}  // namespace

bool ThinGemm::suits(const Step& step, const Kernels& kernels) {
  if (step.finish != nullptr) return false;
  if (step.out.c > kMostColumns || step.epilogue.other.buffer >= 0) return false;
  bool taps = false;
  int top = 0, bottom = 0, left = 0, right = 0;
  for (int i = 0; i < step.phase_count; ++i) {
    const auto& [y, x] = step.phases[i];
    if (y.step != 1 || x.step != 1) return false;
    taps = taps || (y.taps > 0 && x.taps > 0);
    if (x.out > 0 && x.out < kernels.lanes / 2) return false;
    widen(y, top, bottom);
    widen(x, left, right);
  }
  const int64_t rows = int64_t{1} + top + bottom, row = int64_t{left} + right + step.out.w;
  return taps && rows <= kMostStripFloats / kChannels / row;
}

ThinGemm::ThinGemm(const Step& step, const Kernels& kernels)
    : kernels_(kernels),
      in_(step.in),
      out_(step.out),
      epilogue_(step.epilogue),
      bias_(step.bias),
      kernel_w_(step.kernel_w) {
  int64_t weight_count = 0;
  for (int i = 0; i < step.phase_count; ++i) {
    const Phase& phase = step.phases[i];
    if (phase.y.out <= 0 || phase.x.out <= 0) continue;
    out_h_ = std::max(out_h_, phase.y.out);
    out_w_ = std::max(out_w_, phase.x.out);
    widen(phase.y, top_, bottom_);
    widen(phase.x, left_, right_);
    phases_.push_back({phase, {}, weight_count});
    weight_count += int64_t{1} * phase.y.taps * phase.x.taps * in_.c * out_.c;
  }
  // Whole vectors are loaded, so a row is as long as its last vector reaches.
  const int64_t lanes = kernels.lanes;
  row_stride_ = int64_t{left_} + right_ + divide_up(out_w_, lanes) * lanes;
  const int64_t halo = top_ + bottom_;
  strip_rows_ = static_cast<int>(
      std::clamp<int64_t>(kStripFloats / (row_stride_ * kChannels) - halo, 1, out_h_));
  channel_stride_ = (strip_rows_ + halo) * row_stride_;

  for (PhaseWeights& p : phases_) {
    const auto& [y, x] = p.phase;
    for (int ty = 0; ty < y.taps; ++ty) {
      for (int tx = 0; tx < x.taps; ++tx) {
        p.tap_offset.push_back((y.base + ty * y.dir) * row_stride_ + x.base + tx * x.dir);
      }
    }
  }
  weights_ = allocate_aligned<float>(weight_count);
}

void ThinGemm::pack(const Weights& weights, int) {
  for (const PhaseWeights& p : phases_) {
    const auto& [y, x] = p.phase;
    float* to = weights_.get() + p.weights;
    for (int c = 0; c < in_.c; ++c) {
      for (int ty = 0; ty < y.taps; ++ty) {
        for (int tx = 0; tx < x.taps; ++tx) {
          const int64_t tap = int64_t{1} * (y.first_tap + ty * y.tap_step) * kernel_w_ +
                              x.first_tap + tx * x.tap_step;
          for (int n = 0; n < out_.c; ++n) {
            *to++ = weights.data[n * weights.output_stride + tap * weights.tap_stride +
                                 c * weights.input_stride];
          }
        }
      }
    }
  }
}

void ThinGemm::run(int64_t images, Images in, Images out, Images, int threads) const {
  // Shorter strips where there would be too few for the threads; each repeats the halo's transpose.
  const int64_t strips = divide_up(out_h_, strip_rows_);
  const int64_t parts = std::min<int64_t>(
      out_h_, std::max(strips, divide_up(2 * int64_t{threads}, images)));
  const int64_t rows = divide_up(out_h_, parts);
  const int64_t count = divide_up(out_h_, rows);
  parallel_for(images * count, threads, [&](int64_t task, int) {
    const auto first = static_cast<int>(task % count * rows);
    run_strip(in, out, task / count, first, std::min<int>(out_h_, first + static_cast<int>(rows)));
  });
}

int64_t ThinGemm::tile_floats() const {
  return int64_t{1} * out_.c * kernels_.thin_vectors * kernels_.lanes;
}

int ThinGemm::row_vectors(const PhaseWeights& p) const {
  return static_cast<int>(divide_up(p.phase.x.out, kernels_.lanes));
}

int64_t ThinGemm::tiles(const PhaseWeights& p, int rows) const {
  if (rows <= 0) return 0;
  return divide_up(rows * row_vectors(p), kernels_.thin_vectors);
}

void ThinGemm::transpose_strip(Images in, int64_t image, int first, int last, int first_channel,
                               int channels, float* strip) const {
  const int pixels = static_cast<int>(std::min<int64_t>(in_.w, row_stride_ - left_));
  for (int iy = std::max(0, first - top_); iy < std::min(in_.h, last + bottom_); ++iy) {
    kernels_.transpose(in.data + image * in.image_stride +
                           int64_t{iy} * in_.w * in_.pixel_stride + first_channel,
                       in_.pixel_stride, pixels, channels,
                       strip + (iy - first + top_) * row_stride_ + left_, channel_stride_);
  }
}

void ThinGemm::run_strip(Images in, Images out, int64_t image, int first, int last) const {
  static thread_local Scratch strip_scratch, sum_scratch;
  float* strip = strip_scratch.get<float>(channel_stride_ * kChannels);
  int64_t sum_floats = 0;
  for (const PhaseWeights& p : phases_) sum_floats += tiles(p, last - first) * tile_floats();
  float* sums = sum_scratch.get<float>(sum_floats);
  // What lies around the map is zero, and is so for all channels.
  std::fill(strip, strip + channel_stride_ * kChannels, 0.0f);
  for (int channel = 0; channel < in_.c; channel += kChannels) {
    const int channels = std::min(kChannels, in_.c - channel);
    transpose_strip(in, image, first, last, channel, channels, strip);
    float* phase_sums = sums;
    for (const PhaseWeights& p : phases_) {
      const int rows = std::min(last, p.phase.y.out) - first;
      multiply_strip(p, strip, rows, channel, channels, phase_sums);
      phase_sums += tiles(p, rows) * tile_floats();
    }
  }
  for (const PhaseWeights& p : phases_) {
    const int rows = std::min(last, p.phase.y.out) - first;
    finish_strip(p, sums, out, image, first, rows);
    sums += tiles(p, rows) * tile_floats();
  }
}

void ThinGemm::multiply_strip(const PhaseWeights& p, const float* strip, int rows,
                              int first_channel, int channels, float* sums) const {
  const float* origin = strip + top_ * row_stride_ + left_;  // output (first, 0), no tap offset
  const auto taps = static_cast<int>(p.tap_offset.size());
  const int in_row = row_vectors(p);
  const int total = rows * in_row;
  for (int begin = 0; begin < total; begin += kernels_.thin_vectors, sums += tile_floats()) {
    const float* pixels[16];
    for (int v = 0; v < kernels_.thin_vectors; ++v) {
      const int i = std::min(begin + v, total - 1);  // the last tile repeats its last vector
      pixels[v] = origin + i / in_row * row_stride_ + i % in_row * kernels_.lanes;
    }
    kernels_.thin_multiply({pixels, channel_stride_, channels, p.tap_offset.data(), taps,
                            weights_.get() + p.weights + int64_t{first_channel} * taps * out_.c,
                            out_.c, sums, first_channel > 0});
  }
}

void ThinGemm::finish_strip(const PhaseWeights& p, float* sums, Images out, int64_t image,
                            int first, int rows) const {
  const int in_row = row_vectors(p);
  for (int64_t tile = 0; tile < tiles(p, rows); ++tile, sums += tile_floats()) {
    activate(sums);
    for (int v = 0; v < kernels_.thin_vectors; ++v) {
      const auto i = static_cast<int>(tile * kernels_.thin_vectors + v);
      if (i >= rows * in_row) break;
      const int ox = i % in_row * kernels_.lanes;
      write(p, sums + v * kernels_.lanes, out, image, first + i / in_row, ox,
            std::min(kernels_.lanes, p.phase.x.out - ox));
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
  Epilogue activation;
  activation.activation = epilogue_.activation;
  activation.alpha = epilogue_.alpha, activation.beta = epilogue_.beta;
  if (activation.activation != Activation::kPrelu) {
    kernels_.epilogue({sums, nullptr, nullptr, &activation, sums, out_.c * width});
    return;
  }
  activation.activation = Activation::kLeakyRelu;  // of each channel, whose pixels are a row here
  for (int n = 0; n < out_.c; ++n, sums += width) {
    activation.alpha = epilogue_.slopes[n];
    kernels_.epilogue({sums, nullptr, nullptr, &activation, sums, width});
  }
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

Costs ThinGemm::costs() const {
  Costs costs;
  int64_t sum_floats = 0;
  for (const PhaseWeights& p : phases_) {
    sum_floats += tiles(p, strip_rows_) * tile_floats();
    costs.weight_bytes += int64_t{4} * static_cast<int64_t>(p.tap_offset.size()) * in_.c * out_.c;
  }
  costs.scratch_bytes = 4 * (channel_stride_ * kChannels + sum_floats);
  return costs;
}

}  // namespace facegen::cpu
