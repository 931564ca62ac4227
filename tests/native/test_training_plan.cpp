// How training is cut for GPUs, without one: every row and number is summed once, whatever the batch.
#include <algorithm>
#include <cstdint>
#include <vector>

#include "check.h"
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

void test_sums(int64_t segments, int64_t rows, int32_t channels) {
  const ColumnSums plan = plan_column_sums(segments, rows, channels);
  CHECK(plan.lanes >= 1 && plan.lanes <= 32 && (plan.lanes & (plan.lanes - 1)) == 0);
  CHECK(kSumThreads % plan.lanes == 0 && plan.channel_groups() * plan.lanes >= channels);
  CHECK(plan.splits >= 1 && plan.splits * plan.split_rows >= rows);
  CHECK((plan.splits - 1) * plan.split_rows < rows);
  CHECK(plan.memory_doubles(2) == segments * (plan.splits + 1) * 2 * channels);
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
  CHECK(sums.plan.segments * sums.count == int64_t{1} * window.kernel_h * window.kernel_w);
  CHECK(sums.plan.rows == 5 * 7 * 3 && sums.plan.channels == 12);  // rows of 4 outputs
}

}  // namespace

int main() {
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
        test_sums(segments, rows, static_cast<int32_t>(columns));
      }
    }
  }
  test_taps();
  test_groups();
  // kernel, stride, padding, dilation: height and width
  test_depthwise({3, 3, 2, 2, 1, 1, 2, 1}, DepthwiseTaps::kThreeByThree, 9);
  test_depthwise({3, 3, 1, 1, 1, 1, 1, 2}, DepthwiseTaps::kOne, 1);
  test_depthwise({2, 5, 3, 1, 1, 1, 1, 1}, DepthwiseTaps::kRowOfFive, 5);
  test_depthwise({5, 5, 3, 3, 1, 1, 1, 1}, DepthwiseTaps::kOne, 1);
  test_depthwise({7, 1, 1, 1, 3, 0, 1, 1}, DepthwiseTaps::kOne, 1);
}
