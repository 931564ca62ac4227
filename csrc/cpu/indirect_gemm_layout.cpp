// What IndirectGemm decides when a network is loaded: groups, bundles, blocks, and the packed weights.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <utility>

#include "cpu/indirect_gemm.h"
#include "cpu/pad_rows.h"
#include "cpu/ranges.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// An input of at most so many channels has its rows of taps merged.
constexpr int kFewChannels = 8;

bool covers_all(Range range, int out) { return range.first == 0 && range.last == out; }

// Raises each channel's number to the magnitude of its weight in a column, relative to the largest of
// that column.
void raise_to_column(const std::vector<float>& column, std::vector<float>& largest) {
  float most = 0;
  for (const float x : column) most = std::max(most, std::fabs(x));
  for (std::size_t k = 0; k < column.size(); ++k) {
    const float x = std::fabs(column[k]);
    if (x > 0) largest[k] = std::max({largest[k], x / most, std::numeric_limits<float>::min()});
  }
}

// Powers of two from those magnitudes: 1 where one is of the order of the largest of all, 2^-k where
// it is 2^-k of that (but for a factor of 2, by which the input would lose a bit), 0 where it is 0.
std::vector<float> channel_scales(const std::vector<float>& largest) {
  const float most = *std::max_element(largest.begin(), largest.end());
  std::vector<float> scales;
  for (const float x : largest) {
    const int power = x > 0 ? std::clamp(std::ilogb(x) - std::ilogb(most) + 1, -126, 0) : 0;
    scales.push_back(x > 0 ? std::ldexp(1.0f, power) : 0.0f);
  }
  return scales;
}

}  // namespace

IndirectGemm::IndirectGemm(const Step& step, const Kernels& kernels)
    : kernels_(kernels),
      in_(step.in),
      out_(step.out),
      epilogue_(step.epilogue),
      bias_(step.bias),
      kernel_w_(step.kernel_w),
      channels_(step.in.c) {
  std::vector<Phase> phases;
  for (int i = 0; i < step.phase_count; ++i) {
    const Phase& phase = step.phases[i];
    if (phase.y.out > 0 && phase.x.out > 0) phases.push_back(phase);
  }
  if (step.phase_count == 1 && !phases.empty()) merge_row_taps(phases.front());
  for (const Phase& phase : phases) add_phase(phase);
  for (Group& group : groups_) {
    int panels = 0;
    for (Bundle& bundle : group.bundles) {
      bundle.first_panel = panels;
      bundle.panels = static_cast<int>(divide_up(bundle.columns(out_.c), kernels.panel_columns));
      panels += bundle.panels;
    }
  }
  for (Group& group : groups_) add_blocks(group);
  packed_ = allocate_aligned<char>(packed_bytes_);
}

void IndirectGemm::pack(const Weights& weights, int threads) {
  for (Group& group : groups_) {
    if (kernels_.products != Products::kFixedPoint) break;
    parallel_for(static_cast<int64_t>(group.blocks.size()), threads, [&](int64_t i, int) {
      scale_channels(group, group.blocks[static_cast<std::size_t>(i)], weights);
    });
  }
  struct Piece {
    const Group* group;
    const Block* block;
    const Use* use;
  };
  std::vector<Piece> pieces;
  for (const Group& group : groups_) {
    for (const Block& block : group.blocks) {
      for (const Use& use : block.uses) pieces.push_back({&group, &block, &use});
    }
  }
  parallel_for(static_cast<int64_t>(pieces.size()), threads, [&](int64_t i, int) {
    const Piece& piece = pieces[static_cast<std::size_t>(i)];
    pack_use(*piece.group, *piece.block, *piece.use, weights);
  });
}

// The pixels that a row of taps reads follow one another in memory: with few channels they become
// one pixel of more channels.
void IndirectGemm::merge_row_taps(Phase& phase) {
  Axis& x = phase.x;
  const bool in_memory = x.dir == 1 && in_.pixel_stride == in_.c;
  if (!in_memory || x.taps < 2 || in_.c > kFewChannels || in_.c * x.taps > kernels_.most_depth) {
    return;
  }
  const int left = std::max(0, -x.base);
  const int right = std::max(0, (x.out - 1) * x.step + x.base + x.taps - in_.w);
  if (!worth_padding(in_.w, int64_t{left} + right)) return;
  pad_left_ = left;
  pad_right_ = right;
  in_.w += pad_left_ + pad_right_;
  in_.c *= x.taps;
  x.base += pad_left_;
  x.taps = 1;
}

void IndirectGemm::add_phase(const Phase& phase) {
  auto group = std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) {
    return g.out_h == phase.y.out && g.out_w == phase.x.out && g.step_y == phase.y.step &&
           g.step_x == phase.x.step;
  });
  if (group == groups_.end()) {
    groups_.push_back({phase.y.out, phase.x.out, phase.y.step, phase.x.step, {}, {}});
    group = groups_.end() - 1;
  }
  const auto reads_alike = [](const Axis& a, const Axis& b) {
    return a.base == b.base && a.dir == b.dir && a.taps == b.taps;
  };
  for (Bundle& bundle : group->bundles) {
    const Phase& other = bundle.phases.front();
    if (reads_alike(phase.y, other.y) && reads_alike(phase.x, other.x)) {
      bundle.phases.push_back(phase);
      return;
    }
  }
  group->bundles.push_back({{phase}, 0, 0, 0, true});
}

// Cuts a group's reduction into blocks, in an order that depends on the layer alone: it is the
// order of summation.
void IndirectGemm::add_blocks(Group& group) {
  // An input position relative to the output's, and the bundles that read it with which tap.
  struct Read {
    bool partial;  // outside the input for some output
    std::vector<int> bundles;
    Tap at;
    std::vector<Tap> taps;
  };
  std::map<std::pair<int, int>, Read> reads_at;
  for (int i = 0; i < static_cast<int>(group.bundles.size()); ++i) {
    Bundle& bundle = group.bundles[static_cast<std::size_t>(i)];
    const auto& [y, x] = bundle.phases.front();
    bundle.products = 1;  // at least: a column that reads nothing is written
    for (int ty = 0; ty < y.taps; ++ty) {
      for (int tx = 0; tx < x.taps; ++tx) {
        const int dy = y.base + ty * y.dir, dx = x.base + tx * x.dir;
        const Range ys = valid_outputs(dy, y.step, in_.h, y.out);
        const Range xs = valid_outputs(dx, x.step, in_.w, x.out);
        if (ys.first >= ys.last || xs.first >= xs.last) continue;  // never inside the input
        Read& read = reads_at[{dy, dx}];
        read.partial = !(covers_all(ys, y.out) && covers_all(xs, x.out));
        read.at = {dy, dx};
        read.bundles.push_back(i);
        bundle.products += int64_t{1} * (ys.last - ys.first) * (xs.last - xs.first) * in_.c;
        read.taps.push_back({ty, tx});
      }
    }
  }
  // Positions that are inside for every output go first: they can overwrite C, which then needs no
  // zeroing. Those with the same readers stand together, so that they can share a block.
  std::vector<Read> reads;
  for (auto& [at, read] : reads_at) reads.push_back(std::move(read));
  std::sort(reads.begin(), reads.end(), [](const Read& a, const Read& b) {
    return std::tie(a.partial, a.bundles, a.at.dy, a.at.dx) <
           std::tie(b.partial, b.bundles, b.at.dy, b.at.dx);
  });

  for (Bundle& bundle : group.bundles) bundle.zeroed = true;
  std::vector<bool> started(group.bundles.size(), false);
  const int channel_parts = static_cast<int>(divide_up(in_.c, kernels_.most_depth));
  const int channels = static_cast<int>(divide_up(in_.c, channel_parts));
  const int most_taps = std::max(1, kernels_.most_depth / channels);
  for (auto it = reads.begin(); it != reads.end();) {
    auto end = it;
    while (end != reads.end() && end - it < most_taps && end->bundles == it->bundles) ++end;
    for (int first = 0; first < in_.c; first += channels) {
      Block block{{static_cast<int>(end - it), std::min(channels, in_.c - first)}, first, {}, {}, {}};
      for (auto read = it; read != end; ++read) block.taps.push_back(read->at);
      for (std::size_t r = 0; r < it->bundles.size(); ++r) {
        const auto index = static_cast<std::size_t>(it->bundles[r]);
        Bundle& bundle = group.bundles[index];
        const bool overwrite = !started[index] && !it->partial;
        if (overwrite) bundle.zeroed = false;
        started[index] = true;
        std::vector<Tap> taps;
        for (auto read = it; read != end; ++read) taps.push_back(read->taps[r]);
        block.uses.push_back({it->bundles[r], std::move(taps), packed_bytes_, overwrite});
        packed_bytes_ += kernels_.weight_panel_bytes(block.stretch.depth()) * bundle.panels;
      }
      group.blocks.push_back(std::move(block));
    }
    it = end;
  }
}

// Where the weights of output 0 are, for a tap of a phase and an input channel.
int64_t IndirectGemm::weight_at(const Weights& weights, const Phase& phase, Tap tap,
                                int64_t channel) const {
  const auto& [y, x] = phase;
  const int64_t ty = y.first_tap + tap.dy * y.tap_step;
  const int64_t tx = x.first_tap + tap.dx * x.tap_step + channel / channels_;  // of a merged row
  return (ty * kernel_w_ + tx) * weights.tap_stride + channel % channels_ * weights.input_stride;
}

// Fixed-point numbers have one scale for a row or a column of the block: a channel of small weights
// would lose bits, and one of large inputs, for which such weights make up, would take them from the
// others. So each channel's weights are scaled to the magnitude of the largest, and the input by the
// inverse. Powers of two change no other bit.
void IndirectGemm::scale_channels(const Group& group, Block& block, const Weights& weights) const {
  const auto depth = static_cast<std::size_t>(block.stretch.depth());
  std::vector<int64_t> from(depth);
  std::vector<float> column(depth), largest(depth);
  for (const Use& use : block.uses) {
    for (const Phase& phase : group.bundles[static_cast<std::size_t>(use.bundle)].phases) {
      auto to = from.begin();
      for (const Tap tap : use.taps) {
        for (int c = 0; c < block.stretch.channels; ++c) {
          *to++ = weight_at(weights, phase, tap, block.first_channel + c);
        }
      }
      for (int64_t n = 0; n < out_.c; ++n) {
        const float* const data = weights.data + n * weights.output_stride;
        std::transform(from.begin(), from.end(), column.begin(),
                       [data](int64_t at) { return data[at]; });
        raise_to_column(column, largest);
      }
    }
  }
  block.channel_scale = channel_scales(largest);
}

// The weights of a bundle's columns for one block: from where they lie, if the panels of a phase hold
// nothing of another, or by way of rows (phase, output channel) x depth.
void IndirectGemm::pack_use(const Group& group, const Block& block, const Use& use,
                            const Weights& weights) {
  const Bundle& bundle = group.bundles[static_cast<std::size_t>(use.bundle)];
  const int64_t depth = block.stretch.depth(), channels = block.stretch.channels;
  char* panels = packed_.get() + use.weights;
  std::vector<int64_t> tap_offset(use.taps.size());
  const bool merged = in_.c != channels_;
  const bool plain = !merged || (weights.input_stride == 1 && weights.tap_stride == channels_);
  if (plain && (bundle.phases.size() == 1 || out_.c % kernels_.panel_columns == 0)) {
    const int64_t bytes = kernels_.weight_panel_bytes(block.stretch.depth()) *
                          divide_up(out_.c, kernels_.panel_columns);
    for (const Phase& phase : bundle.phases) {
      for (std::size_t t = 0; t < use.taps.size(); ++t) {
        tap_offset[t] = weight_at(weights, phase, use.taps[t], 0);
      }
      kernels_.pack({weights.data + block.first_channel * weights.input_stride,
                     weights.output_stride, tap_offset.data(), out_.c, weights.input_stride,
                     block.channel_scale.data()},
                    block.stretch, panels);
      panels += bytes;
    }
    return;
  }
  static thread_local Scratch row_scratch;
  float* const rows = row_scratch.get<float>(bundle.columns(out_.c) * depth);
  float* to = rows;
  for (const Phase& phase : bundle.phases) {
    for (int64_t n = 0; n < out_.c; ++n) {
      for (const Tap tap : use.taps) {
        for (int64_t c = block.first_channel; c < block.first_channel + channels; ++c) {
          *to++ = weights.data[n * weights.output_stride + weight_at(weights, phase, tap, c)];
        }
      }
    }
  }
  for (std::size_t t = 0; t < use.taps.size(); ++t) {
    tap_offset[t] = static_cast<int64_t>(t) * channels;
  }
  kernels_.pack({rows, depth, tap_offset.data(), bundle.columns(out_.c), 1,
                 block.channel_scale.data()},
                block.stretch, panels);
}

}  // namespace facegen::cpu
