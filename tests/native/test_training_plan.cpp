// How training is cut for GPUs, without one: every row and number is summed once, whatever the batch.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "check.h"
#include "cuda/fit/loss_plan.h"
#include "cuda/fit/training_plan.h"

using namespace facegen;
using namespace facegen::cuda;

namespace {

// Of one axis, as program.h defines it: an entry is a tap of the weight that an output reads an input with.
struct Read {
  int output, input, tap;
};
std::vector<Read> reads_of(const Axis& axis) {
  std::vector<Read> reads;
  for (int o = 0; o < axis.out; ++o) {
    for (int t = 0; t < axis.taps; ++t) {
      reads.push_back({axis.out_origin + o * axis.out_step, o * axis.step + t * axis.dir + axis.base,
                       axis.first_tap + t * axis.tap_step});
    }
  }
  return reads;
}

void test_phase(const Axis& y, const Axis& x, int kernel_w, int map_w) {
  const TrainingPhase phase = {y, x, kernel_w, map_w};
  const std::vector<Read> rows = reads_of(y), columns = reads_of(x);
  for (int position = 0; position < phase.outputs(); ++position) {
    const int oy = position / x.out, ox = position % x.out;
    for (int tap = 0; tap < phase.taps(); ++tap) {
      const Read& row = rows[static_cast<std::size_t>(oy * y.taps + tap / x.taps)];
      const Read& column = columns[static_cast<std::size_t>(ox * x.taps + tap % x.taps)];
      CHECK(phase.output_pixel(oy, ox) == int64_t{row.output} * map_w + column.output);
      CHECK(phase.input_y(oy, tap) == row.input && phase.input_x(ox, tap) == column.input);
      CHECK(phase.weight_tap(tap) == row.tap * kernel_w + column.tap);
    }
  }
}

void test_depth(int64_t rows, int64_t columns, int64_t depth, int64_t groups) {
  const DepthSplit split = split_depth(rows, columns, depth, groups);
  CHECK(split.splits >= 1 && split.part >= 1 && split.part % kTrainingChunk == 0);
  CHECK(split.splits * split.part >= depth);
  CHECK(depth == 0 || (split.splits - 1) * split.part < depth);  // none is empty
  // Parts take room: no more than some hundred tiles of it.
  CHECK(split.splits == 1 || split.splits * groups * rows * columns <= int64_t{512} * kTrainingTile * kTrainingTile);
}

void test_walk(const RowWalk& walk, int64_t segments, int64_t rows, int32_t channels) {
  CHECK(walk.segments == segments && walk.rows == rows && walk.channels == channels);
  CHECK(walk.lanes >= 1 && walk.lanes <= 32 && (walk.lanes & (walk.lanes - 1)) == 0);
  CHECK(walk.groups * walk.block_channels() >= channels && (walk.groups - 1) * walk.block_channels() < channels);
  CHECK(walk.splits >= 1 && walk.splits <= walk.runs);
  CHECK(int64_t{walk.runs} * walk.run_rows() >= rows && (int64_t{walk.runs} - 1) * walk.run_rows() < rows);
  CHECK(walk.blocks() == segments * walk.groups * walk.splits);
}

void test_sums(int64_t segments, int64_t rows, int32_t channels, int32_t vector) {
  const RowWalk walk = plan_column_sums(segments, rows, channels, vector);
  test_walk(walk, segments, rows, channels);
  CHECK(walk.block_channels() <= 32);
  CHECK(walk.splits == 1 || segments * walk.groups <= kArrivals);
  const int64_t splits = walk.splits == 1 ? 0 : walk.blocks() * 2 * walk.block_channels();
  CHECK(walk.sum_doubles(2) == splits + segments * 2 * channels);
}

// Its threads have every number once.
void test_numbers(const RowWalk& walk) {
  std::vector<int> found(static_cast<std::size_t>(walk.segments * walk.rows * walk.channels));
  for (uint32_t block = 0; block < walk.blocks(); ++block) {
    for (uint32_t thread = 0; thread < kWalkThreads; ++thread) {
      const RowWalk::Place at = walk.place(block, thread);
      CHECK(at.segment < walk.segments && at.group < walk.groups && at.split < walk.splits);
      if (at.channel >= walk.channels) continue;
      for (int run = at.split; run < walk.runs; run += walk.splits) {
        const int64_t first = int64_t{run} * walk.run_rows() + at.row;
        for (int r = 0; r < kRunRows && r * walk.step() < walk.rows_from(first); ++r) {
          const int64_t row = at.segment * walk.rows + first + r * walk.step();
          for (int e = 0; e < walk.vector; ++e) {
            ++found[static_cast<std::size_t>(row * walk.channels + at.channel + e)];
          }
        }
      }
    }
  }
  for (const int times : found) CHECK(times == 1);
}

void test_vectors() {
  const TrainingValue input = {ValueKind::kInput, 0, 2, 2, 8, 0}, next = {ValueKind::kArena, 0, 2, 2, 8, 16};
  const TrainingValue between = {ValueKind::kArena, 0, 2, 2, 8, 18};
  CHECK(vector_of(8, {&input, &next}) == 4 && vector_of(6, {&input, &next}) == 1);
  CHECK(vector_of(8, {&input, &between}) == 1);
}

// What an input gives is what outputs take, in the outputs' order.
void test_taps() {
  const TrainingTaps taps = {2, {0, 1, 1, -1, 1, 1, 3, 0}, {1, 2, 3, 9, 4, 5, 6, 7}};
  const TransposedTaps t = transpose_taps(taps, 4);
  CHECK((t.start == std::vector<int32_t>{0, 2, 6, 6, 7}));
  CHECK((t.outputs == std::vector<int32_t>{0, 3, 0, 1, 2, 2, 3}));
  CHECK((t.weights == std::vector<float>{1, 7, 2, 3, 4, 5, 6}));
}

TrainingProgram one_gemm(GroupPart part, bool transposed) {
  TrainingProgram program;
  program.values = {{ValueKind::kInput, 0, 5, 7, 12, 0}, {ValueKind::kArena, 0, 5, 7, 18, 0}};
  TrainingStep step;
  step.op = TrainingOp::kGemm;
  step.name = "gemm";
  step.x = 0;
  step.y = 1;
  step.transposed = transposed;
  step.part = part;
  step.kernel_h = step.kernel_w = 1;
  step.phases = {{{5, 1, 1, 0, 1, 0, 1, 0, 1}, {7, 1, 1, 0, 1, 0, 1, 0, 1}}};
  program.steps = {step};
  return program;
}

void test_groups() {
  const TrainingProgram whole = one_gemm({}, false), turned = one_gemm({}, true);
  const TrainingGroups a = groups_of(whole.steps[0], whole), b = groups_of(turned.steps[0], turned);
  CHECK(a.count == 1 && a.ins == 12 && a.outs == 18 && b.ins == 18 && b.outs == 12);
  const TrainingProgram part = one_gemm({2, 4, 8, 6, 12}, false);
  const TrainingGroups c = groups_of(part.steps[0], part);
  CHECK(c.count == 2 && c.first_in == 4 && c.ins == 4 && c.first_out == 6 && c.outs == 6);
  CHECK(is_countable(whole, 1 << 20) && !is_countable(whole, 1 << 26));
}

// Every tap is one sum of one segment.
void test_depthwise(const Window& window, DepthwiseTaps taps, int32_t count) {
  const TrainingValue dy = {ValueKind::kArena, 0, 7, 9, 12, 0};
  const DepthwiseSums sums = plan_depthwise_sums(window, dy, 5);
  CHECK(sums.taps == taps && sums.count == count);
  CHECK(sums.walk.segments * sums.count == int64_t{1} * window.kernel_h * window.kernel_w);
  CHECK(sums.walk.rows == 5 * 7 * 3 && sums.walk.channels == 12);  // rows of 4 outputs
}

// Splits have all runs, none of them nothing, and staged pixels the room that there is.
void test_loss(LossKind kind, int32_t h, int32_t w, int32_t c) {
  TrainingStep step;
  step.op = TrainingOp::kLoss;
  step.loss = kind;
  const TrainingValue x = {ValueKind::kArena, 0, h, w, c, 0};
  const LossPlan plan = plan_loss(step, x);
  CHECK(plan.splits >= 1 && plan.splits <= plan.runs && plan.splits <= kMostLossSplits);
  CHECK(loss_doubles(step, x, 3) == kCountBlocks + (plan.splits == 1 ? 0 : 3 * plan.splits));
  CHECK(loss_doubles(step, x, 1 << 20) <= kCountBlocks + kArrivals * kMostLossSplits);
  const bool soft = kind == LossKind::kSoftCrossEntropy;
  if (kind != LossKind::kCrossEntropy && !soft) {
    CHECK(plan.runs == std::max<int64_t>(1, (x.floats() + kLossRun - 1) / kLossRun));
    return;
  }
  CHECK(plan.lanes >= 1 && plan.lanes <= 32 && (plan.lanes & (plan.lanes - 1)) == 0);
  CHECK(plan.lanes * plan.pixels == kLossThreads);
  CHECK((int64_t{plan.runs} - 1) * plan.pixels < x.pixels() && int64_t{plan.runs} * plan.pixels >= x.pixels());
  CHECK(plan.pitch >= c && plan.pitch <= c + 1 && plan.pitch % 2 == 1);
  CHECK(!plan.staged || plan.pixels * plan.pitch * (soft ? 2 : 1) <= kStagedFloats);
  CHECK(c > (soft ? 512 : 1024) || plan.staged);
}

// Which kernels make an operand of what they write.
void test_operands() {
  TrainingProgram program;
  for (const int32_t channels : {21, 24}) program.values.push_back({ValueKind::kArena, 0, 9, 9, channels, 0});
  TrainingStep step = {};
  step.x = step.y = step.dx = 0;
  const auto writes = [&](TrainingOp op) {
    step.op = op;
    return writes_operand(step, program);
  };
  CHECK(writes(TrainingOp::kActivate) && !writes(TrainingOp::kDropout));
  CHECK(!writes(TrainingOp::kCopy) && !writes(TrainingOp::kMaxPool));
  step.loss = LossKind::kCrossEntropy;
  CHECK(writes(TrainingOp::kLoss));
  step.loss = LossKind::kL1;
  CHECK(!writes(TrainingOp::kLoss));
  step.y = 1;
  CHECK(writes(TrainingOp::kCopy) && writes(TrainingOp::kMaxPool));
}

}  // namespace

int main() {
  test_operands();
  // out, step, dir, base, taps, first_tap, tap_step, out_origin, out_step
  test_phase({5, 2, 1, -1, 3, 0, 1, 0, 1}, {4, 1, 2, -2, 3, 0, 1, 0, 1}, 3, 4);
  test_phase({3, 1, -1, 1, 2, 1, 2, 1, 2}, {4, 1, -1, 0, 2, 0, 2, 0, 2}, 4, 8);
  test_phase({2, 1, 1, 0, 0, 0, 1, 0, 1}, {2, 1, 1, 0, 1, 0, 1, 0, 1}, 1, 2);  // no taps
  for (const int64_t rows : {1, 31, 64, 65, 1000, 262144}) {
    for (const int64_t columns : {1, 3, 64, 576, 4608}) {
      for (const int64_t depth : {0, 1, 27, 255, 256, 4096, 100000}) {
        for (const int64_t groups : {1, 3, 32}) test_depth(rows, columns, depth, groups);
      }
      for (const int64_t segments : {1, 3, 64, 3000}) {
        const auto channels = static_cast<int32_t>(columns);
        test_sums(segments, rows, channels, 1);
        test_walk(plan_pixels(segments, rows, channels, 1), segments, rows, channels);
        if (channels % 4 != 0) continue;
        test_sums(segments, rows, channels, 4);
        test_walk(plan_pixels(segments, rows, channels, 4), segments, rows, channels);
      }
    }
  }
  for (const int32_t channels : {1, 3, 4, 8, 21, 24, 48, 96, 144, 1024}) {
    for (const int64_t rows : {1, 5, 127, 1030}) {
      for (const int64_t segments : {1, 3}) {
        for (const int32_t vector : {1, 4}) {
          if (channels % vector != 0) continue;
          test_numbers(plan_column_sums(segments, rows, channels, vector));
          test_numbers(plan_pixels(segments, rows, channels, vector));
        }
      }
    }
  }
  for (const LossKind kind : {LossKind::kCrossEntropy, LossKind::kSoftCrossEntropy, LossKind::kL2}) {
    for (const int32_t c : {1, 2, 10, 21, 33, 255, 256, 512, 513, 1000, 1024, 1025, 20000}) {
      for (const int32_t size : {1, 3, 16, 17, 224, 1024}) test_loss(kind, size, size + 1, c);
    }
  }
  test_vectors();
  test_taps();
  test_groups();
  CHECK(split_depth(128, 256, 1024, 1).splits == 16 && split_depth(128, 10, 256, 1).splits == 1);  // few tiles
  CHECK(split_depth(4096, 4096, 1024, 1).splits == 1 && split_depth(32, 25, 73728, 1).splits == 288);
  // kernel, stride, padding, dilation: height and width
  test_depthwise({3, 3, 2, 2, 1, 1, 2, 1}, DepthwiseTaps::kThreeByThree, 9);
  test_depthwise({3, 3, 1, 1, 1, 1, 1, 2}, DepthwiseTaps::kOne, 1);
  test_depthwise({2, 5, 3, 1, 1, 1, 1, 1}, DepthwiseTaps::kRowOfFive, 5);
  test_depthwise({5, 5, 3, 3, 1, 1, 1, 1}, DepthwiseTaps::kOne, 1);
  test_depthwise({7, 1, 1, 1, 3, 0, 1, 1}, DepthwiseTaps::kOne, 1);
}
