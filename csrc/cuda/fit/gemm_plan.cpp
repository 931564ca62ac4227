// Plans of the Hopper kernel, on the host: which columns a tile has, which taps they need, and the
// packed weights.
//
// Packed weights, for every group, tap and its blocks of 64 input channels:
//
//   hi  (columns, 64 channels) bf16, then lo; or one float16 plane
//     row r, 16-byte unit u (8 channels)  at  r * 128 + (u ^ r % 8) * 16     128-byte swizzle
//     row r = 32 i + 8 j + 2 q + e  holds column  32 i + 8 q + 2 j + e       0 <= j, q < 4, e < 2
//
// The second permutation gives lane q of a quad 8 neighbouring channels (see gemm.cu).
#include "cuda/fit/gemm_plan.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <type_traits>
#include <utility>

#include "cuda/fit/positions.h"
#include "cuda/fit/split.h"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

// The longest stretch of a sum, in channels; of maps of few pixels, it is one tap.
constexpr int kStretch = 2048;
constexpr int kSmallMap = 16;

// wgmma rounds a sum towards zero whenever it adds 16 products: each time about so much of it is lost,
// whatever its sign (measured slopes of the error: 1.4e-8 to 1.6e-8 an addition, for sums of 96 to 384
// additions of numbers of random sign). Weights that are larger by what their stretch loses make up
// for the mean of it, which takes a quarter off the rms error of a sum of 2,048 terms, at no cost.
constexpr double kLostAnAddition = 1.5e-8;

// One phase's weight tap at each input offset (dy, dx).
using Offsets = std::map<std::pair<int, int>, int>;

// 64 output channels of a phase.
struct Block {
  int phase, channel;
};
using BlockList = std::vector<Block>;

Offsets offsets_of(const Step& step, const Block& block) {
  const auto& [y, x] = step.phases[block.phase];
  const bool centre_alone = block.channel < step.centre_channels;
  Offsets offsets;
  for (int ty = 0; ty < y.taps; ++ty) {
    const int dy = y.base + ty * y.dir;
    if (!ever_inside(y, dy, step.in.h)) continue;
    for (int tx = 0; tx < x.taps; ++tx) {
      const int dx = x.base + tx * x.dir;
      if (!ever_inside(x, dx, step.in.w) || (centre_alone && (dy != 0 || dx != 0))) continue;
      offsets[{dy, dx}] =
          (y.first_tap + ty * y.tap_step) * step.kernel_w + x.first_tap + tx * x.tap_step;
    }
  }
  return offsets;
}

bool same_axis(const Axis& a, const Axis& b) {
  return a.out == b.out && a.base == b.base && a.taps == b.taps && a.out_origin == b.out_origin;
}

// Whether some blocks of a convolution have more taps than others.
bool is_uneven(const Step& step) {
  if (step.phase_count != 1 || step.out.c % (2 * kBlockChannels)) return false;
  const std::size_t taps = offsets_of(step, {0, 0}).size();
  for (int c = kBlockChannels; c < step.out.c; c += kBlockChannels) {
    if (offsets_of(step, {0, c}).size() != taps) return true;
  }
  return false;
}

// Pairs of blocks with as many taps, as far as there are; else the first of a pair has more, and
// products of its own.
std::vector<BlockList> pair_blocks(const Step& step) {
  BlockList blocks;
  for (int c = 0; c < step.out.c; c += kBlockChannels) blocks.push_back({0, c});
  std::sort(blocks.begin(), blocks.end(), [&](const Block& a, const Block& b) {
    const std::size_t of_a = offsets_of(step, a).size(), of_b = offsets_of(step, b).size();
    return of_a != of_b ? of_a > of_b : a.channel < b.channel;
  });
  std::vector<BlockList> pairs;
  for (std::size_t i = 0; i < blocks.size() / 2; ++i) {
    pairs.push_back({blocks[2 * i], blocks[2 * i + 1]});
  }
  return pairs;
}

// The column blocks of every group, `most` at most in each.
std::vector<BlockList> group_blocks(const Step& step, int most) {
  if (most == 2 && is_uneven(step)) return pair_blocks(step);
  std::vector<BlockList> groups;
  const int per_phase = divide_up(step.out.c, kBlockChannels);
  for (int p = 0; p < step.phase_count; ++p) {
    const Phase& phase = step.phases[p];
    if (phase.y.out <= 0 || phase.x.out <= 0) continue;
    const bool pair = per_phase == 1 && most >= 2 && p + 1 < step.phase_count &&
                      step.phases[p + 1].x.out > 0 && same_axis(phase.y, step.phases[p + 1].y);
    if (pair) {
      int first = p, second = p + 1;
      if (step.phases[first].x.taps < step.phases[second].x.taps) std::swap(first, second);
      groups.push_back({{first, 0}, {second, 0}});
      ++p;
      continue;
    }
    for (int b = 0; b < per_phase; b += most) {
      BlockList blocks;
      for (int i = b; i < std::min(b + most, per_phase); ++i) blocks.push_back({p, i * kBlockChannels});
      groups.push_back(blocks);
    }
  }
  return groups;
}

// How far a stretch of the sum reaches at most.
struct Stretch {
  int rows = 256, cols = 256;  // of taps
  int channels = 1 << 20;

  // Whether it ends between two neighbouring taps. By their offsets, not by counting them: another
  // phase in the same tile may have taps in between.
  bool ends(const Tap& before, const Tap& after) const {
    return (before.dy + 128) / rows != (after.dy + 128) / rows ||
           (before.dx + 128) / cols != (after.dx + 128) / cols ||
           before.first_block != after.first_block;
  }
};

Stretch stretch_of(const Step& step, const Phase& phase) {
  int rows = phase.y.taps, cols = phase.x.taps;
  // Phases that may share tiles count as the longest: sums must not depend on the shape of tile.
  for (int p = 0; p < step.phase_count && step.out.c <= kBlockChannels; ++p) {
    rows = std::max(rows, step.phases[p].y.taps);
    cols = std::max(cols, step.phases[p].x.taps);
  }
  const int channels = step.in.c;
  // On such small maps, one image has tiles for all multiprocessors only if its sums are split.
  if (step.out.h * step.out.w <= kSmallMap && channels <= kStretch) return {1, 1};
  if (int64_t{rows} * cols * channels <= kStretch) return {};
  if (cols * channels <= kStretch) return {kStretch / (cols * channels)};
  if (channels <= kStretch) return {1, kStretch / channels};
  return {1, 1, kStretch};
}

// Appends a tap's weights. weight_taps[b]: the tap of block b's phase, or -1 where it does not read
// this offset; additions[b]: of the stretch that the tap is part of.
void pack(const Step& step, const BlockList& blocks, const std::vector<int>& weight_taps,
          const std::vector<int>& additions, const Tap& tap, bool half, std::vector<uint16_t>& to) {
  const int rows = tap.blocks * kBlockChannels, planes = half ? 1 : 2;
  const int64_t out_stride = int64_t{step.kernel_h} * step.kernel_w * step.in.c;
  for (int c0 = tap.first_block * kBlockChannels; c0 < std::min(tap.end_block * kBlockChannels, step.in.c);
       c0 += kBlockChannels) {
    const std::size_t start = to.size();
    to.resize(start + static_cast<std::size_t>(planes) * rows * kBlockChannels, 0);
    for (int r = 0; r < rows; ++r) {
      const auto b = static_cast<std::size_t>(r / kBlockChannels);
      if (b >= blocks.size() || weight_taps[b] < 0) continue;
      const int in_block = r % kBlockChannels;
      const int j = in_block % 32 / 8, q = in_block % 8 / 2, e = in_block % 2;
      const int column = in_block / 32 * 32 + 8 * q + 2 * j + e;
      const int channel = blocks[b].channel + column;
      if (channel >= step.out.c) continue;
      const float* weight =
          step.weight + channel * out_stride + int64_t{weight_taps[b]} * step.in.c;
      // Sums of +1 and -1 are exact as they are.
      const double makes_up = step.binary ? 1.0 : 1.0 + kLostAnAddition * additions[b];
      uint16_t* row = to.data() + start + r * kBlockChannels;
      for (int k = 0; k < std::min(kBlockChannels, step.in.c - c0); ++k) {
        const int at = ((k / 8) ^ (r % 8)) * 8 + k % 8;
        if (half) {
          row[at] = half_bits(weight[c0 + k]);
        } else {
          const auto value = static_cast<float>(makes_up * weight[c0 + k]);
          row[at] = bfloat16_bits(value);
          row[rows * kBlockChannels + at] = bfloat16_bits(value - bfloat16_value(row[at]));
        }
      }
    }
  }
}

}  // namespace

Shape large_shape(const Step& step) {
  return step.out.c <= 2 * kBlockChannels || is_uneven(step) ? Shape::kTall : Shape::kWide;
}

namespace {

// A plan without its groups.
Plan start_plan(const Step& step, Shape shape, bool half) {
  Plan plan;
  plan.shape = shape;
  plan.half = half;
  plan.adds = step.epilogue.other.buffer >= 0;
  plan.step_y = step.phases[0].y.step;
  plan.step_x = step.phases[0].x.step;
  plan.in_h = step.in.h;
  plan.in_w = step.in.w;
  return plan;
}

// The columns of a tile with the weight taps that they need.
struct GroupTaps {
  Group group;
  std::vector<Tap> taps;  // without their weights
  std::vector<std::vector<int>> weight_taps;  // by tap and block
};

GroupTaps make_group(const Step& step, const BlockList& blocks, Shape shape, bool half,
                     int64_t pixel_stride) {
  GroupTaps made;
  std::vector<Offsets> offsets;
  std::map<std::pair<int, int>, int> needed;  // offset -> column blocks that it adds to
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const Phase& phase = step.phases[blocks[b].phase];
    made.group.columns[b] = {
        (int64_t{phase.y.out_origin} * step.out.w + phase.x.out_origin) * pixel_stride +
            blocks[b].channel,
        phase.y.out, phase.x.out, blocks[b].channel,
        std::min(kBlockChannels, (step.out.c + 7) / 8 * 8 - blocks[b].channel)};
    offsets.push_back(offsets_of(step, blocks[b]));
    for (const auto& [offset, tap] : offsets.back()) {
      // Only tall tiles have a product of fewer columns.
      needed[offset] = shape == Shape::kTall ? static_cast<int>(b) + 1 : tile_blocks(shape);
    }
  }
  // float16 products are coarser than the sum.
  const Stretch stretch = half ? Stretch{} : stretch_of(step, step.phases[blocks[0].phase]);
  const int stretch_blocks = stretch.channels / kBlockChannels;
  const int channel_blocks = divide_up(step.in.c, kBlockChannels);
  for (const auto& [offset, block_count] : needed) {
    std::vector<int> weight_taps;
    for (const Offsets& of_block : offsets) {
      const auto found = of_block.find(offset);
      weight_taps.push_back(found == of_block.end() ? -1 : found->second);
    }
    for (int first = 0; first < channel_blocks; first += stretch_blocks) {
      Tap tap = {};
      tap.dy = static_cast<int8_t>(offset.first);
      tap.dx = static_cast<int8_t>(offset.second);
      tap.blocks = static_cast<uint8_t>(block_count);
      tap.first_block = static_cast<uint16_t>(first);
      tap.end_block = static_cast<uint16_t>(std::min(first + stretch_blocks, channel_blocks));
      tap.promotes = !made.taps.empty() && stretch.ends(made.taps.back(), tap);
      made.taps.push_back(tap);
      made.weight_taps.push_back(weight_taps);
    }
  }
  return made;
}

// A plan without its weights, and what these are packed from, by group.
struct Outline {
  struct Piece {
    BlockList blocks;
    std::vector<Tap> taps;
    std::vector<std::vector<int>> weight_taps;
  };
  Plan plan;
  std::vector<Piece> pieces;
  int32_t kib = 0;

  bool fits() const { return plan.taps.size() <= kMaxTaps; }

  // Adds taps `first` to `end` of a group as a group of the plan.
  void add(const BlockList& blocks, const GroupTaps& made, std::size_t first, std::size_t end) {
    const auto cut = [&](const auto& all) {
      const auto begin = all.begin();
      return std::decay_t<decltype(all)>(begin + static_cast<std::ptrdiff_t>(first),
                                         begin + static_cast<std::ptrdiff_t>(end));
    };
    Piece piece = {blocks, cut(made.taps), cut(made.weight_taps)};
    Group group = made.group;
    group.first_kib = kib;
    for (Tap& tap : piece.taps) {
      tap.weights_kib = static_cast<uint32_t>(group.weights_kib);
      // 64 columns x 64 channels of a plane are 8 KiB.
      group.weights_kib += (tap.end_block - tap.first_block) * tap.blocks * (plan.half ? 8 : 16);
    }
    kib += group.weights_kib;
    const auto same = [](const Tap& a, const Tap& b) {
      return a.dy == b.dy && a.dx == b.dx && a.blocks == b.blocks && a.promotes == b.promotes &&
             a.first_block == b.first_block && a.end_block == b.end_block &&
             a.weights_kib == b.weights_kib;
    };
    const auto found = std::search(plan.taps.begin(), plan.taps.end(), piece.taps.begin(),
                                   piece.taps.end(), same);
    group.first_tap = static_cast<int32_t>(found - plan.taps.begin());
    group.tap_count = static_cast<int32_t>(piece.taps.size());
    if (found == plan.taps.end()) {
      plan.taps.insert(plan.taps.end(), piece.taps.begin(), piece.taps.end());
    }
    plan.groups.push_back(group);
    pieces.push_back(std::move(piece));
  }

  // Of the stretch that starts at a tap of a piece: how often each block's sums are added to.
  static std::vector<int> additions(const Step& step, const Piece& piece, std::size_t first) {
    std::vector<int> counts(piece.blocks.size(), 0);
    for (std::size_t t = first; t < piece.taps.size(); ++t) {
      const Tap& tap = piece.taps[t];
      if (t > first && tap.promotes) break;
      const int channels =
          std::min(tap.end_block * kBlockChannels, step.in.c) - tap.first_block * kBlockChannels;
      for (std::size_t b = 0; b < counts.size(); ++b) {
        if (piece.weight_taps[t][b] >= 0) counts[b] += 3 * divide_up(channels, 16);
      }
    }
    return counts;
  }

  // The plan with its weights; without groups where the table of taps has no room for all.
  Plan finish(const Step& step) && {
    if (!fits()) return {};
    plan.weights.reserve(static_cast<std::size_t>(kib) << 9);
    for (const Piece& piece : pieces) {
      std::vector<int> of_stretch;
      for (std::size_t t = 0; t < piece.taps.size(); ++t) {
        if (t == 0 || piece.taps[t].promotes) of_stretch = additions(step, piece, t);
        pack(step, piece.blocks, piece.weight_taps[t], of_stretch, piece.taps[t], plan.half,
             plan.weights);
      }
    }
    return std::move(plan);
  }
};

Outline outline(const Step& step, Shape shape, bool half) {
  Outline made = {start_plan(step, shape, half), {}};
  for (const BlockList& blocks : group_blocks(step, tile_blocks(shape))) {
    const GroupTaps of_group = make_group(step, blocks, shape, half, step.out.pixel_stride);
    made.add(blocks, of_group, 0, of_group.taps.size());
  }
  return made;
}

}  // namespace

bool wgmma_suits(const StepFit& fit) {
  const Step& step = fit.step;
  const View& add = step.epilogue.other;
  if (!fit.target.hopper_gemms() || fit.in.format != fit.target.operand_format()) return false;
  if (step.in.c < 16 || step.out.c < 16) return false;
  for (int p = 0; p < step.phase_count; ++p) {
    for (const Axis* axis : {&step.phases[p].y, &step.phases[p].x}) {
      if (axis->step > 8 || axis->step != step.phases[0].y.step) return false;
      if (axis->out_step != step.phases[0].y.out_step) return false;
      for (const int t : {0, axis->taps - 1}) {
        if (std::abs(axis->base + t * axis->dir) > 127) return false;
      }
    }
  }
  // The copy engine and the epilogue move 16 bytes at a time.
  if (!in_vectors(step.in, fit.in, 8) || !in_whole_vectors(step.out, fit.out)) return false;
  const bool adds = add.buffer >= 0;
  if (adds && (step.phase_count > 1 || add.pixel_stride % 8 || add.offset % 8)) return false;
  const bool has_centre = step.centre_channels > 0;
  if (has_centre && (step.centre_channels % kBlockChannels || step.out.c % kBlockChannels)) return false;
  const bool half = fit.target.half();
  return outline(step, Shape::kSmall, half).fits() || outline(step, large_shape(step), half).fits();
}

Plan make_plan(const Step& step, Shape shape, bool half) {
  return outline(step, shape, half).finish(step);
}

Plan as_shape(Plan small, Shape shape) {
  const auto promotes = [](const Tap& tap) { return tap.promotes; };
  if (shape == Shape::kShort && std::any_of(small.taps.begin(), small.taps.end(), promotes)) return {};
  small.shape = shape;
  return small;
}

Plan make_split_plan(const Step& step) {
  Outline split = {start_plan(step, Shape::kTiny, false), {}};
  Plan& plan = split.plan;
  const int64_t pixel_stride = (step.out.c + 7) / 8 * 8;
  const int64_t slice = int64_t{step.out.h} * step.out.w * pixel_stride;
  const std::vector<BlockList> lists = group_blocks(step, 1);
  // By list: where its stretches start.
  std::vector<GroupTaps> made;
  std::vector<std::vector<std::size_t>> starts;
  for (const BlockList& blocks : lists) {
    made.push_back(make_group(step, blocks, Shape::kTiny, false, pixel_stride));
    std::vector<std::size_t>& of_list = starts.emplace_back(1, 0);
    for (std::size_t t = 0; t < made.back().taps.size(); ++t) {
      if (made.back().taps[t].promotes) of_list.push_back(t);
    }
    plan.slices = std::max(plan.slices, static_cast<int>(of_list.size()));
  }
  if (plan.slices == 1 || step.epilogue.other.buffer >= 0) return {};
  for (std::size_t i = 0; i < lists.size(); ++i) {
    for (int s = 0; s < plan.slices; ++s) {
      // Phases with fewer stretches have slices of zeros.
      const auto start = [&](int number) {
        const auto n = static_cast<std::size_t>(number);
        return n < starts[i].size() ? starts[i][n] : made[i].taps.size();
      };
      split.add(lists[i], made[i], start(s), start(s + 1));
      plan.groups.back().columns[0].offset += s * slice;
    }
  }
  return std::move(split).finish(step);
}

}  // namespace facegen::cuda::hopper
