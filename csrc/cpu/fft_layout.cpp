// What Fft decides when a network is loaded: tiles, stretches of channels, and the transformed weights.
#include <algorithm>
#include <limits>

#include "cpu/fft.h"
#include "cpu/ranges.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

constexpr int kSizes[] = {16, 32, 64};

int frequencies_of(int size) { return size * size / 2 + 2; }

// In the time of a multiply-add of the register tile: reading a weight, which a run of few tiles waits
// for, and a transform of a channel's tile, a number of it. One thread of an AMD EPYC (Zen 3), avx2,
// 2026-11-30; 64 channels in and out on 64 x 64, milliseconds measured and by this:
//   11x11, tiles of 16: 26.3, 27.2    32: 11.5, 11.1    64: 22.7, 24.1    (direct: 85)
//   7x7                  9.2, 11.3        10.9, 11.1        27.1, 24.1    (direct: 34)
constexpr double kWeight = 9.5, kTransform = 110;

// Taken unasked where that is so many times as fast as the definition's products, by the same count: other
// processors may be slower in the transforms, or faster in the products.
constexpr double kGain = 2;

// Shorter filters are Winograd's. Of 5 x 5 ones, those of 64 channels and more on large maps would gain up
// to 1.9 times over it, for ten times the weights' memory.
constexpr int kWinogradSpan = 5;

// Of weights of a layer that nobody asked to be computed so.
constexpr double kMostFloats = 1 << 26;

}  // namespace

Fft::Reach Fft::reach(const Step& step, Axis Phase::*axis) {
  Reach all = {0, 0, 0};
  int high = -1;
  bool reads = false;
  for (int i = 0; i < step.phase_count; ++i) {
    const Axis& a = step.phases[i].*axis;
    all.outputs = std::max(all.outputs, a.out);
    if (a.taps == 0) continue;
    const int last = a.base + (a.taps - 1) * a.dir;
    all.low = reads ? std::min({all.low, a.base, last}) : std::min(a.base, last);
    high = reads ? std::max({high, a.base, last}) : std::max(a.base, last);
    reads = true;
  }
  all.span = high - all.low + 1;
  return all;
}

int Fft::tile_size(const Step& step, const Kernels& kernels) {
  const bool asked = step.algorithm == Algorithm::kFft;
  if (kernels.products != Products::kFloat32) return 0;
  if (!asked && step.algorithm != Algorithm::kAuto) return 0;
  const Reach y = reach(step, &Phase::y), x = reach(step, &Phase::x);
  if (y.span < 1 || x.span < 1 || y.span > kSizes[2] || x.span > kSizes[2]) return 0;
  if (!asked && (y.span <= kWinogradSpan || x.span <= kWinogradSpan)) return 0;
  double defined = 0;  // products a pair of channels
  for (int i = 0; i < step.phase_count; ++i) {
    const Phase& phase = step.phases[i];
    if (phase.y.step != 1 || phase.x.step != 1) return 0;
    defined += static_cast<double>(valid_taps(phase.y, step.in.h)) *
               static_cast<double>(valid_taps(phase.x, step.in.w));
  }
  const double columns = static_cast<double>(step.phase_count) * step.out.c;
  double least = std::numeric_limits<double>::infinity();
  if (!asked) least = defined * step.in.c * step.out.c / kGain;
  int best = 0;
  for (const int size : kSizes) {
    if (y.span > size || x.span > size) continue;
    const double tiles = static_cast<double>(divide_up(y.outputs, size - y.span + 1)) *
                         static_cast<double>(divide_up(x.outputs, size - x.span + 1));
    const double weights = 3.0 * frequencies_of(size) * step.in.c * columns;
    const double cost =
        weights * (tiles + kWeight) + kTransform * size * size * tiles * (step.in.c + columns);
    if (cost < least && (asked || weights <= kMostFloats)) {
      least = cost;
      best = size;
    }
  }
  return best;
}

Fft::Fft(const Step& step, const Kernels& kernels)
    : in_(step.in),
      kernel_w_(step.kernel_w),
      phases_(step.phases, step.phases + step.phase_count),
      y_(reach(step, &Phase::y)),
      x_(reach(step, &Phase::x)),
      size_(tile_size(step, kernels)),
      tile_h_(size_ - y_.span + 1),
      tile_w_(size_ - x_.span + 1),
      tiles_y_(divide_up(y_.outputs, tile_h_)),
      tiles_x_(divide_up(x_.outputs, tile_w_)),
      frequencies_(frequencies_of(size_)),
      panels_(static_cast<int>(
          divide_up(int64_t{step.phase_count} * step.out.c, kernels.panel_columns))),
      kernels_(kernels),
      writer_(step, kernels) {
  const int parts = divide_up(step.in.c, kMaxDepth);
  for (int i = 0; i < parts; ++i) {
    Stretch stretch = {};
    stretch.first = static_cast<int>(int64_t{step.in.c} * i / parts);
    stretch.channels = static_cast<int>(int64_t{step.in.c} * (i + 1) / parts) - stretch.first;
    stretch.weights = packed_bytes_;
    stretch.beside = kMaxDepth / stretch.channels;
    stretch.panels = v_rows_;
    packed_bytes_ += products() * panels_ * kernels.weight_panel_bytes(stretch.channels);
    v_rows_ += divide_up(products(), stretch.beside);
    stretches_.push_back(stretch);
  }
  packed_ = allocate_aligned<char>(packed_bytes_);
}

void Fft::pack(const Weights& weights, int threads) {
  parallel_for(panels_, threads,
               [&](int64_t panel, int) { pack_panel(static_cast<int>(panel), weights); });
}

// A vector of columns: their filters, in lanes, are transformed as pixels are.
void Fft::pack_panel(int panel, const Weights& weights) {
  static thread_local Scratch tap_scratch, pixel_scratch, panel_scratch, work_scratch;
  const int lanes = kernels_.panel_columns;
  const int64_t window = int64_t{y_.span} * x_.span;
  float* const taps = tap_scratch.get<float>(window * in_.c * lanes);  // (window, C, lanes)
  std::fill_n(taps, window * in_.c * lanes, 0.0f);
  // What the transforms leave out: 1 / T^2 of the inverse, 1 / 2 of either forward. A power of two.
  const float scale = 0.25f / static_cast<float>(size_ * size_);
  for (int lane = 0; lane < lanes; ++lane) {
    const int64_t column = int64_t{panel} * lanes + lane;
    const int64_t n = column % writer_.out.c;
    if (column / writer_.out.c >= static_cast<int64_t>(phases_.size())) break;
    const auto& [y, x] = phases_[static_cast<std::size_t>(column / writer_.out.c)];
    for (int ty = 0; ty < y.taps; ++ty) {
      for (int tx = 0; tx < x.taps; ++tx) {
        const int64_t tap = int64_t{y.first_tap + ty * y.tap_step} * kernel_w_ + x.first_tap +
                            int64_t{tx} * x.tap_step;
        const int64_t at = int64_t{y.base + ty * y.dir - y_.low} * x_.span + x.base + tx * x.dir -
                           x_.low;
        const float* const from =
            weights.data + n * weights.output_stride + tap * weights.tap_stride;
        for (int64_t c = 0; c < in_.c; ++c) {
          taps[(at * in_.c + c) * lanes + lane] = scale * from[c * weights.input_stride];
        }
      }
    }
  }
  // Output j of a tile reads j + d with tap d: a circular convolution with the filter at -d.
  const int64_t numbers = int64_t{1} * size_ * size_;
  auto** pixels = pixel_scratch.get<const float*>(numbers);
  std::fill_n(pixels, numbers, nullptr);
  std::vector<char> is_zero(static_cast<std::size_t>(size_ / 2), 1);
  for (int dy = 0; dy < y_.span; ++dy) {
    const int py = (size_ - dy) % size_;
    is_zero[static_cast<std::size_t>(py / 2)] = 0;
    for (int dx = 0; dx < x_.span; ++dx) {
      pixels[py * size_ + (size_ - dx) % size_] =
          taps + (int64_t{dy} * x_.span + dx) * in_.c * lanes;
    }
  }
  auto** panels = panel_scratch.get<float*>(products());
  FftForward forward = {};
  forward.size = size_;
  forward.pixels = pixels;
  forward.is_zero_pair = reinterpret_cast<const bool*>(is_zero.data());
  forward.channels = lanes;
  forward.weights = true;
  forward.panels = panels;
  forward.work = work_scratch.get<float>(numbers * lanes);
  for (const Stretch& stretch : stretches_) {
    const int64_t bytes = kernels_.weight_panel_bytes(stretch.channels);
    for (int p = 0; p < products(); ++p) {
      panels[p] = reinterpret_cast<float*>(packed_.get() + stretch.weights +
                                           (int64_t{p} * panels_ + panel) * bytes);
    }
    for (int c = 0; c < stretch.channels; ++c) {
      forward.first_channel = (stretch.first + c) * lanes;
      forward.offset = int64_t{c} * lanes;
      kernels_.fft_forward(forward);
    }
  }
}

}  // namespace facegen::cpu
