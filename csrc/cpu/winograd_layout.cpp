// What Winograd decides when a network is loaded: tiles, blocks, and the transformed weights.
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "algorithms.h"
#include "cpu/ranges.h"
#include "cpu/winograd.h"
#include "divide_up.h"
#include "threads.h"
#include "winograd_transform.h"

namespace facegen::cpu {
namespace {

// Channels of a stretch. Half as many would keep a row tile's panels in L1, and took 1.03 times as
// long: sums are then added to M in memory twice as often.
constexpr int kDepth = kMaxDepth;

// Below that the transforms cost more than they save (16 -> 16 channels gain 1.5 times, 8 -> 128
// nothing).
constexpr int kFewestChannels = 16;

// Filters of more than 3 taps need so many channels in and out together: 5x5 ones of 16 -> 16
// channels take 1.3 times as long, those of 24 -> 24 gain 1.2 times, 64 -> 64 2.2 times.
constexpr int kFewTaps = 3, kFewestChannelsOfManyTaps = 48;

// More phases than these share a part where they can. Where each transforms the input for itself,
// the 16 of an 11x11 layer of stride 4 and 21 channels take 2.4 ms, as IndirectGemm's bundles 2.1 ms,
// together 1.2 ms.
constexpr std::size_t kManyPhases = 9;
constexpr int kFewestChannelsOfMany = 64;  // of as many parts

}  // namespace

int Winograd::tile_outputs(const Step& step, const Kernels& kernels) {
  const bool asked = step.algorithm == Algorithm::kWinograd;
  if (!asked && step.algorithm != Algorithm::kAuto) return 0;
  if (kernels.products != Products::kFloat32) return 0;
  if (!asked && (step.in.c < kFewestChannels || step.out.c < kFewestChannels)) return 0;
  if (!winograd_takes(step)) return 0;
  // Costs of one image in products a pair of channels. Speed of 16 tiles of 4 x 4 against 64 of 2 x 2, at
  // batch 1 / 8, on an AMD EPYC, family 26:
  //   4x4 s2 256 -> 512, 32x32      50 MiB of weights    1.11 / 1.27
  //   t 4x4 s2 1024 -> 256, 16x16  100 MiB of weights    1.28 / 1.28
  double least = 0;
  int most_taps = 0;  // of a grid
  for (int i = 0; i < step.phase_count; ++i) {
    const auto& [y, x] = step.phases[i];
    most_taps = std::max({most_taps, divide_up(y.taps, y.step), divide_up(x.taps, x.step)});
    const int64_t rows = std::max(int64_t{1} * y.out * x.out, kFewestRows);
    const double inside = double(valid_taps(y, step.in.h)) * double(valid_taps(x, step.in.w)) /
                          (double(y.out) * y.taps * x.out * x.taps);
    least += inside * double(rows) * y.taps * x.taps;
  }
  if (asked) {
    least = std::numeric_limits<double>::infinity();
  } else if (most_taps > kFewTaps && step.in.c + step.out.c < kFewestChannelsOfManyTaps) {
    return 0;
  }
  int best = 0;
  for (const int outputs : {2, 4}) {
    if (outputs + most_taps - 1 > kWinogradPoints) continue;
    double cost = 0;
    const std::vector<Part> parts = lay_out(step, outputs);
    if (!asked && parts.size() > kManyPhases && step.in.c < kFewestChannelsOfMany) continue;
    for (const Part& part : parts) {
      const int64_t tiles = std::max(part.tiles(), kFewestRows);
      const auto products = [outputs](const Tiles& t) {  // points that weights are not zero at
        int64_t count = 0;
        for (const AxisGrid& grid : t.grids) count += outputs + t.taps - 1 - (grid.taps < t.taps);
        return count;
      };
      cost += double(tiles * products(part.y) * products(part.x)) * double(part.phases.size());
    }
    if (cost < least) {
      least = cost;
      best = outputs;
    }
  }
  return best;
}

// The outputs that are a multiple of the dilation apart form a grid of their own, which an
// undilated filter runs over.
Winograd::Tiles Winograd::cut_axis(const Axis& axis, int outputs) {
  Tiles tiles{{},
              {},
              axis.step == 1 ? std::abs(axis.dir) : 1,
              axis.step,
              static_cast<int>(divide_up(axis.taps, axis.step))};
  for (int grid = 0; grid < std::min(tiles.dilation, axis.out); ++grid) {
    for (int64_t o = grid; o < axis.out; o += int64_t{outputs} * tiles.dilation) {
      tiles.first_output.push_back(static_cast<int>(o));
    }
  }
  if (axis.dir < 0) {  // the last tap reads the lowest input
    tiles.grids = {{axis.base + axis.dir * (axis.taps - 1), axis.taps}};
    return tiles;
  }
  for (int grid = 0; grid < axis.step; ++grid) {
    tiles.grids.push_back({axis.base + grid, static_cast<int>(divide_up(axis.taps - grid, axis.step))});
  }
  return tiles;
}

// An axis of phases of a transposed convolution that reads what both do, of the size of the larger.
Axis cover(const Axis& a, const Axis& b) {
  Axis all = a.out >= b.out ? a : b;
  all.base = std::max(a.base, b.base);
  all.taps = all.base - std::min(a.base - a.taps, b.base - b.taps);
  return all;
}

// A part a phase. Many phases whose taps lie in a window of few share one, with weights of zero for what
// they do not read.
std::vector<Winograd::Part> Winograd::lay_out(const Step& step, int outputs) {
  std::vector<Phase> phases;
  for (int i = 0; i < step.phase_count; ++i) {
    const Phase& phase = step.phases[i];
    if (phase.y.out > 0 && phase.x.out > 0) phases.push_back(phase);
  }
  std::vector<Part> parts;
  const auto add = [&](const std::vector<Phase>& some, const Phase& window) {
    parts.push_back({some, cut_axis(window.y, outputs), cut_axis(window.x, outputs), {}});
  };
  const auto fits = [](const Axis& axis) { return axis.dir == -1 && axis.taps <= kFewTaps; };
  if (phases.size() > kManyPhases) {
    Phase window = phases.front();
    for (const auto& [y, x] : phases) window = {cover(window.y, y), cover(window.x, x)};
    if (fits(window.y) && fits(window.x)) {
      add(phases, window);
      return parts;
    }
  }
  // Phases are taken from both ends in turn: tasks next to each other then have about as many products
  // as others (phases of a 5x5 filter, stride 2: 3x3 and 2x2, 3x2 and 2x3).
  for (std::size_t i = 0; i < phases.size(); ++i) {
    const Phase& phase = phases[i % 2 == 0 ? i / 2 : phases.size() - 1 - i / 2];
    add({phase}, phase);
  }
  return parts;
}

Winograd::Winograd(const Step& step, const Kernels& kernels)
    : kernels_(kernels),
      in_(step.in),
      out_(step.out),
      epilogue_(step.epilogue),
      bias_(step.bias),
      kernel_w_(step.kernel_w),
      outputs_(tile_outputs(step, kernels)),
      stretch_channels_(static_cast<int>(divide_up(step.in.c, divide_up(step.in.c, kDepth)))),
      parts_(lay_out(step, outputs_)),
      zeros_(static_cast<std::size_t>(step.in.c), 0.0f) {
  const auto phases = static_cast<int64_t>(parts_.front().phases.size());  // of all parts
  panels_ = static_cast<int>(divide_up(phases * step.out.c, kernels.panel_columns));
  for (Part& part : parts_) add_blocks(part);
  packed_ = allocate_aligned<char>(packed_bytes_);
}

void Winograd::pack(const Weights& weights, int threads) {
  struct Piece {
    const Part* part;
    const Block* block;
  };
  std::vector<Piece> pieces;
  for (const Part& part : parts_) {
    for (const Block& block : part.blocks) pieces.push_back({&part, &block});
  }
  parallel_for(static_cast<int64_t>(pieces.size()), threads, [&](int64_t i, int) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    pack_block(*piece.part, *piece.block, weights);
  });
}

// A grid with fewer taps than others has a last tap of zero: its weights at the point at infinity
// are zero, and that point is left out. All rows of points of some input channels come before the
// next channels, so that what they read of the input stays in L2.
void Winograd::add_blocks(Part& part) {
  bool accumulate[kWinogradPoints] = {};
  for (const AxisGrid& y : part.y.grids) {
    for (const AxisGrid& x : part.x.grids) {
      const int rows = points(part.y) - (y.taps < part.y.taps);
      const int used = points(part.x) - (x.taps < part.x.taps);
      for (int first = 0; first < in_.c; first += stretch_channels_) {
        const int channels = std::min(stretch_channels_, in_.c - first);
        for (int row = 0; row < rows; ++row) {
          part.blocks.push_back({row, y, x, used, accumulate[row], first, channels, packed_bytes_});
          packed_bytes_ += kernels_.weight_panel_bytes(channels) * panels_ * used;
          accumulate[row] = true;
        }
      }
    }
  }
}

// The tap of an axis by which its outputs read the t-th position of a grid; -1 if they do not.
int tap_at(const Axis& axis, int low, int spacing, int t) {
  const int i = (low + t * spacing - axis.base) / axis.dir;
  return i < 0 || i >= axis.taps ? -1 : axis.first_tap + i * axis.tap_step;
}

// Transformed along whichever channels are neighbours in memory, as (point; the others; these).
void Winograd::pack_block(const Part& part, const Block& block, const Weights& weights) {
  static thread_local Scratch scratch;
  const WinogradTransform &along_y = kWinogradTransforms[outputs_][part.y.taps],
                          &along_x = kWinogradTransforms[outputs_][part.x.taps];
  const bool inputs = weights.input_stride == 1;
  const auto columns = static_cast<int64_t>(part.phases.size()) * out_.c;
  const int64_t floats = columns * block.channels;
  float* const points = scratch.get<float>(block.points * floats);
  const float* taps[kWinogradTaps * kWinogradTaps];
  WinogradWeights w = {taps, block.y.taps, block.x.taps, along_y.weight[block.row], along_x.weight,
                       block.points, inputs ? block.channels : out_.c, nullptr, floats};
  for (int64_t p = 0; p < static_cast<int64_t>(part.phases.size()); ++p) {
    const auto& [y, x] = part.phases[static_cast<std::size_t>(p)];
    const float* tap_start[kWinogradTaps * kWinogradTaps];
    for (int ty = 0; ty < block.y.taps; ++ty) {
      for (int tx = 0; tx < block.x.taps; ++tx) {
        const int64_t tap_y = tap_at(y, block.y.low, part.y.spacing(), ty);
        const int64_t tap_x = tap_at(x, block.x.low, part.x.spacing(), tx);
        tap_start[ty * block.x.taps + tx] =
            tap_y < 0 || tap_x < 0
                ? nullptr
                : weights.data + (tap_y * kernel_w_ + tap_x) * weights.tap_stride +
                      block.first_channel * weights.input_stride;
      }
    }
    const int64_t others = inputs ? out_.c : block.channels;
    for (int64_t i = 0; i < others; ++i) {
      const int64_t at = i * (inputs ? weights.output_stride : weights.input_stride);
      for (int t = 0; t < block.y.taps * block.x.taps; ++t) {
        taps[t] = tap_start[t] == nullptr ? nullptr : tap_start[t] + at;
      }
      w.out = points + (inputs ? (p * out_.c + i) * block.channels : i * columns + p * out_.c);
      kernels_.winograd_weights(w);
    }
  }
  const int64_t offset = 0;
  for (int px = 0; px < block.points; ++px) {
    kernels_.pack({points + px * floats, inputs ? block.channels : 1, &offset,
                   static_cast<int>(columns), inputs ? 1 : columns},
                  {1, block.channels},
                  packed_.get() + block.weights +
                      px * panels_ * kernels_.weight_panel_bytes(block.channels));
  }
}

}  // namespace facegen::cpu
