#include "cuda/fit/training_plan.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "cuda/fit/loss_plan.h"
#include "cuda/fit/pool_plan.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

const TrainingValue& at(const TrainingProgram& program, int32_t index) {
  return program.values[static_cast<std::size_t>(index)];
}

// Blocks that keep a large GPU busy. Not the number of its multiprocessors: sums would have other bits
// on another GPU.
constexpr int64_t kBlocks = 512;

// Parts of the depth below this are more work to add up than to compute.
constexpr int64_t kLeastDepth = 8 * kTrainingChunk;

// But a deep product of few tiles takes longer than that: the chunks of so few blocks are waited for one after
// another. Two are on their way at once.
constexpr int64_t kFewBlocks = 128, kLeastOfFew = 2 * kTrainingChunk;

int64_t gemm_bytes(const TrainingProgram& program, const TrainingStep& s, int64_t images) {
  const TrainingGroups groups = groups_of(s, program);
  const bool gradient = s.op == TrainingOp::kWeightGradient;
  int64_t most = 0;
  for (const Phase& phase : s.phases) {
    const int64_t positions = images * phase.y.out * phase.x.out;
    const int64_t taps = int64_t{1} * phase.y.taps * phase.x.taps;
    const int64_t rows = gradient ? groups.outs : positions;
    const int64_t columns = gradient ? taps * groups.ins : s.transposed ? groups.ins : groups.outs;
    const int64_t depth = gradient ? positions : taps * (s.transposed ? groups.outs : groups.ins);
    const int64_t splits = split_depth(rows, columns, depth, groups.count).splits;
    if (splits > 1) most = std::max(most, 4 * splits * groups.count * rows * columns);
  }
  return most;
}

// As many lanes as leave none idle, but at least 8, which of four channels each have a line of memory.
RowWalk make_walk(int64_t segments, int64_t rows, int32_t channels, int32_t vector, int32_t most_lanes) {
  const int64_t vectors = divide_up(channels, vector);
  int32_t lanes = 1;
  while (lanes < most_lanes && lanes < vectors) lanes *= 2;
  while (lanes > 8 && vectors % lanes != 0) lanes /= 2;
  RowWalk walk = {segments, rows, channels, vector, lanes, 0, 1, 0};
  walk.groups = static_cast<int32_t>(divide_up(vectors, int64_t{lanes}));
  walk.runs = static_cast<int32_t>(divide_up(rows, int64_t{walk.run_rows()}));
  return walk;
}

// Up to so many splits, and no more than finish as soon.
void split_runs(RowWalk& walk, int64_t most) {
  const int64_t splits = std::max<int64_t>(1, std::min<int64_t>(most, walk.runs));
  walk.splits = static_cast<int32_t>(divide_up(walk.runs, divide_up(walk.runs, splits)));
}

int64_t step_bytes(const TrainingProgram& program, const TrainingStep& s, int64_t images) {
  const auto sums = [](int64_t segments, int64_t rows, std::initializer_list<const TrainingValue*> maps,
                       int64_t count) {
    const int32_t channels = (*maps.begin())->c;
    // And, of norms, two floats a channel and segment.
    return 8 * (plan_column_sums(segments, rows, channels, vector_of(channels, maps)).sum_doubles(count) +
                segments * channels);
  };
  // A depthwise weight, with its channels inside.
  const auto weight_bytes = [&](const TrainingValue& value) {
    return int64_t{4} * s.window.kernel_h * s.window.kernel_w * value.c;
  };
  switch (s.op) {
    case TrainingOp::kGemm:
    case TrainingOp::kWeightGradient: return gemm_bytes(program, s, images);
    case TrainingOp::kBiasGradient: {
      const TrainingValue& dy = at(program, s.dy);
      return sums(1, images * dy.pixels(), {&dy}, 1);
    }
    case TrainingOp::kGlobalAvgPool: {
      const TrainingValue& x = at(program, s.x);
      return sums(images, x.pixels(), {&x}, 1);
    }
    case TrainingOp::kBatchNorm: {
      const TrainingValue& x = at(program, s.x);
      return sums(1, images * x.pixels(), {&x}, 2);
    }
    case TrainingOp::kBatchNormGradient: {
      const TrainingValue& x = at(program, s.x);
      return sums(1, images * x.pixels(), {&x, &at(program, s.y), &at(program, s.dy)}, 2);
    }
    case TrainingOp::kInstanceNorm: {
      const TrainingValue& x = at(program, s.x);
      return sums(images, x.pixels(), {&x}, 2);
    }
    case TrainingOp::kInstanceNormGradient: {
      const TrainingValue& x = at(program, s.x);
      return sums(images, x.pixels(), {&x, &at(program, s.y), &at(program, s.dy)}, 2);
    }
    case TrainingOp::kMaxPoolGradient: return 8 * pool_sum_doubles(s.window, at(program, s.x), images);
    case TrainingOp::kDepthwise: return weight_bytes(at(program, s.x));
    case TrainingOp::kDepthwiseGradient: return weight_bytes(at(program, s.dx));
    case TrainingOp::kDepthwiseWeightGradient: {
      const DepthwiseSums depthwise = plan_depthwise_sums(s.window, at(program, s.dy), images);
      return 8 * depthwise.walk.split_doubles(depthwise.count);
    }
    case TrainingOp::kPreluGradient: {
      const TrainingValue& x = at(program, s.x);
      return sums(1, images * x.pixels(), {&x, &at(program, s.dy)}, 1);
    }
    case TrainingOp::kMultiplySum: {
      const TrainingValue& x = at(program, s.x);
      return sums(images, x.pixels(), {&x, &at(program, s.dy)}, 1);
    }
    case TrainingOp::kLayerNormGradient: {
      const TrainingValue& x = at(program, s.x);
      return sums(1, images * x.pixels(), {&x, &at(program, s.dy)}, 2);
    }
    case TrainingOp::kLoss: return 8 * loss_doubles(s, at(program, s.x), images);
    default: return 0;
  }
}

}  // namespace

TrainingGroups groups_of(const TrainingStep& s, const TrainingProgram& program) {
  const bool gradient = s.op == TrainingOp::kWeightGradient;
  const TrainingValue& x = at(program, s.x);
  const TrainingValue& y = at(program, gradient ? s.dy : s.y);
  const GroupPart& p = s.part;
  if (p.groups == 0) return {1, s.transposed ? y.c : x.c, s.transposed ? x.c : y.c, 0, 0};
  return {p.groups, p.in_channels / p.groups, p.out_channels / p.groups, p.first_in, p.first_out};
}

DepthSplit split_depth(int64_t rows, int64_t columns, int64_t depth, int64_t groups) {
  const int64_t tiles = std::max<int64_t>(
      1, groups * divide_up(rows, int64_t{kTrainingTile}) * divide_up(columns, int64_t{kTrainingTile}));
  int64_t wanted = std::min(kBlocks / tiles, depth / kLeastDepth);
  if (depth > kLeastDepth) wanted = std::max(wanted, std::min(kFewBlocks / tiles, depth / kLeastOfFew));
  const int64_t splits = std::max<int64_t>(1, wanted);
  const int64_t chunk = kTrainingChunk;
  const int64_t part = std::max<int64_t>(1, divide_up(divide_up(depth, splits), chunk)) * chunk;
  return {static_cast<int32_t>(std::max<int64_t>(1, divide_up(depth, part))), part};
}

int32_t vector_of(int32_t channels, std::initializer_list<const TrainingValue*> maps) {
  // Inputs have memory of their own, in which a part of a batch begins at any image.
  const bool aligned = std::all_of(maps.begin(), maps.end(), [](const TrainingValue* map) {
    return (map->kind == ValueKind::kArena ? map->offset : map->floats()) % 4 == 0;
  });
  return channels % 4 == 0 && aligned ? 4 : 1;
}

RowWalk plan_column_sums(int64_t segments, int64_t rows, int32_t channels, int32_t vector) {
  RowWalk walk = make_walk(segments, rows, channels, vector, 32 / vector);
  // To add up less than 4 runs' sums takes longer than the runs; nor should the last block add for long.
  if (walk.runs >= 4) split_runs(walk, std::min<int64_t>(256, kBlocks / (segments * walk.groups)));
  return walk;
}

RowWalk plan_pixels(int64_t segments, int64_t rows, int32_t channels, int32_t vector) {
  RowWalk walk = make_walk(segments, rows, channels, vector, 32);
  split_runs(walk, 2 * kBlocks / (segments * walk.groups));
  return walk;
}

DepthwiseSums plan_depthwise_sums(const Window& window, const TrainingValue& dy, int64_t images) {
  const int64_t rows = images * dy.h * divide_up(dy.w, kDepthwisePixels);
  const int64_t taps = int64_t{1} * window.kernel_h * window.kernel_w;
  const bool dense = window.dilation_w == 1 && window.stride_w <= 2;
  if (dense && window.kernel_h == 3 && window.kernel_w == 3) {
    return {DepthwiseTaps::kThreeByThree, 9, plan_column_sums(taps / 9, rows, dy.c, 1)};
  }
  if (dense && window.kernel_w == 5) {
    return {DepthwiseTaps::kRowOfFive, 5, plan_column_sums(taps / 5, rows, dy.c, 1)};
  }
  return {DepthwiseTaps::kOne, 1, plan_column_sums(taps, rows, dy.c, 1)};
}

TransposedTaps transpose_taps(const TrainingTaps& taps, int32_t in) {
  TransposedTaps result;
  result.start.assign(static_cast<std::size_t>(in) + 1, 0);
  for (const int32_t position : taps.positions) {
    if (position >= 0) ++result.start[static_cast<std::size_t>(position) + 1];
  }
  for (std::size_t i = 1; i < result.start.size(); ++i) result.start[i] += result.start[i - 1];
  const auto entries = static_cast<std::size_t>(result.start.back());
  result.outputs.resize(entries);
  result.weights.resize(entries);
  std::vector<int32_t> next(result.start.begin(), result.start.end() - 1);
  for (std::size_t t = 0; t < taps.positions.size(); ++t) {
    if (taps.positions[t] < 0) continue;
    const auto to = static_cast<std::size_t>(next[static_cast<std::size_t>(taps.positions[t])]++);
    result.outputs[to] = static_cast<int32_t>(t) / taps.taps;
    result.weights[to] = taps.weights[t];
  }
  return result;
}

int64_t training_scratch_bytes(const TrainingProgram& program, int64_t images) {
  int64_t most = 0;
  for (const TrainingStep& step : program.steps) {
    most = std::max(most, step_bytes(program, step, images));
  }
  return most;
}

bool writes_operand(const TrainingStep& step, const TrainingProgram& program) {
  switch (step.op) {
    // A softmax whose pixels have a place in shared memory, where their gradients are left.
    case TrainingOp::kLoss: return !step.accumulate && plan_loss(step, at(program, step.x)).staged;
    // These have no zeros for what an operand has behind the channels.
    case TrainingOp::kMaxPool:
    case TrainingOp::kCopy: return at(program, step.y).c % 8 == 0;
    case TrainingOp::kActivate:
    case TrainingOp::kActivateGradient:
    case TrainingOp::kMaxPoolGradient:
    case TrainingOp::kBatchNorm:
    case TrainingOp::kBatchNormGradient:
    case TrainingOp::kInstanceNorm:
    case TrainingOp::kInstanceNormGradient: return true;
    default: return false;
  }
}

bool is_countable(const TrainingProgram& program, int64_t images) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max() - (1 << 20);
  for (const TrainingValue& value : program.values) {
    if (value.pixels() > kMost / images) return false;
  }
  for (const TrainingStep& s : program.steps) {
    if (s.op != TrainingOp::kWeightGradient && s.op != TrainingOp::kGemm) continue;
    const int64_t taps = int64_t{1} * s.kernel_h * s.kernel_w;
    for (const int32_t index : {s.x, s.y, s.dy}) {
      if (index >= 0 && taps > kMost / at(program, index).c) return false;
    }
  }
  return true;
}

}  // namespace facegen::cuda
