#include "cuda/fit/loss_plan.h"

#include <algorithm>

#include "cuda/fit/training_plan.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

// As few splits as finish as soon.
LossPlan cut(int64_t count, int64_t of_run) {
  const int64_t runs = std::max<int64_t>(1, divide_up(count, of_run));
  const int64_t in_turn = divide_up(runs, int64_t{kMostLossSplits});
  return {static_cast<int32_t>(runs), static_cast<int32_t>(divide_up(runs, in_turn))};
}

// A thread has up to so many of a pixel's channels, and whole pixels where they have no more; but all of a
// block's threads have some, if an image has enough.
LossPlan plan_softmax(const TrainingValue& x, int32_t most, int32_t maps) {
  int32_t lanes = 1;
  while (lanes < 32 && lanes < x.c && (x.c > most * lanes || x.pixels() * lanes < kLossThreads)) lanes *= 2;
  const int32_t pixels = kLossThreads / lanes;
  LossPlan plan = cut(x.pixels(), pixels);
  plan.pixels = pixels;
  plan.lanes = lanes;
  plan.pitch = x.c | 1;
  plan.staged = int64_t{maps} * pixels * plan.pitch <= kStagedFloats;
  return plan;
}

}  // namespace

LossPlan plan_loss(const TrainingStep& step, const TrainingValue& prediction) {
  switch (step.loss) {
    case LossKind::kCrossEntropy: return plan_softmax(prediction, 32, 1);
    case LossKind::kSoftCrossEntropy: return plan_softmax(prediction, 16, 2);
    case LossKind::kRelativisticPairs: return {1, 1};  // a block has a group
    default: return cut(prediction.floats(), kLossRun);
  }
}

int64_t loss_doubles(const TrainingStep& step, const TrainingValue& prediction, int64_t images) {
  const int32_t splits = plan_loss(step, prediction).splits;
  return kCountBlocks + (splits == 1 ? 0 : std::min(images, kArrivals) * splits);
}

}  // namespace facegen::cuda
