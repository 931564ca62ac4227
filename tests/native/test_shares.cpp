// How GPUs share a batch, without one: every image is some share's, sums are trees over the same shares for
// any number of ranks that divides them, and every gradient is added up once, behind the step that writes it.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/fit/shares.h"

using namespace facegen;
using namespace facegen::cuda;

namespace {

void test_batch(int64_t images, int ranks, int wanted) {
  if (images < ranks) return;
  int64_t next = 0;
  int32_t number = 0;
  const int32_t all = own_shares(images, 0, ranks, wanted).all;
  for (int rank = 0; rank < ranks; ++rank) {
    const OwnShares own = own_shares(images, rank, ranks, wanted);
    CHECK(own.first == next && own.number == number && own.all == all);
    CHECK(own.count >= 1 && own.images >= 1);
    // What other ranks know of its shares.
    for (int32_t i = 0; i < own.count; ++i) {
      CHECK(share_first(images, own.number + i, all) == own.first + i * own.images);
    }
    CHECK(own.own_images() == images * (rank + 1) / ranks - images * rank / ranks);  // Ranks.own
    next += own.own_images();
    number += own.count;
  }
  CHECK(next == images && number == all);
}

void test_equal_shares() {
  for (const int64_t images : {4, 8, 64, 100, 4096}) {
    for (const int ranks : {1, 2, 4}) {
      const OwnShares own = own_shares(images, ranks - 1, ranks, 4);
      CHECK(own.all == 4 && own.images == images / 4 && own.count == 4 / ranks);
    }
  }
  CHECK(own_shares(6, 0, 1, 4).all == 2 && own_shares(6, 1, 2, 4).all == 2);
  CHECK(own_shares(43, 0, 1, 4).all == 1 && own_shares(43, 1, 2, 4).all == 2);
  CHECK(own_shares(64, 7, 8, 4).all == 8 && own_shares(64, 0, 3, 4).all == 3);
}

// Steps of sums, as the ranks do them together: sets of numbers, as text in the order of the tree.
std::string sum_of(int ranks) {
  std::vector<std::string> sums;
  for (int rank = 0; rank < ranks; ++rank) sums.push_back(std::to_string(rank));
  const std::size_t steps = sum_groups(0, ranks).size();
  for (std::size_t step = 0; step < steps; ++step) {
    std::vector<std::string> next(sums.size());
    for (int rank = 0; rank < ranks; ++rank) {
      const int group = sum_groups(rank, ranks)[step];
      for (int other = 0; other < ranks; ++other) {
        if (sum_groups(other, ranks)[step] != group) continue;
        auto& to = next[static_cast<std::size_t>(rank)];
        to += (to.empty() ? "(" : "+") + sums[static_cast<std::size_t>(other)];
      }
      next[static_cast<std::size_t>(rank)] += ")";
    }
    sums = next;
  }
  for (const std::string& sum : sums) CHECK(sum == sums[0]);
  return sums[0];
}

TrainingStep gradient(TrainingOp op, int32_t weight, int32_t bias = -1) {
  TrainingStep step = {};
  step.op = op;
  step.weight = weight;
  step.bias = bias;
  return step;
}

void test_buckets() {
  TrainingProgram program;
  program.forward_steps = 1;
  program.backward_steps = 5;
  TrainingStep norm = gradient(TrainingOp::kBatchNormGradient, -1);
  norm.gamma = 4;
  norm.beta = 5;
  program.steps = {gradient(TrainingOp::kGemm, 3),
                   gradient(TrainingOp::kWeightGradient, 3),
                   gradient(TrainingOp::kBiasGradient, -1, 2),
                   norm,
                   gradient(TrainingOp::kWeightGradient, 0),
                   gradient(TrainingOp::kGemm, 3)};  // reads it
  constexpr int64_t kLarge = int64_t{3} << 20;
  // Array 1 is not trained.
  const std::vector<int64_t> at = {0, -1, kLarge, kLarge + 64, 2 * kLarge + 64, 2 * kLarge + 128};
  const int64_t floats = 2 * kLarge + 192;
  const std::vector<Bucket> buckets = plan_buckets(program, at, floats);
  CHECK(buckets.size() == 2);
  CHECK(buckets[0].ready == 3 && buckets[0].first == kLarge + 64);  // a weight and the norm
  CHECK(buckets[1].ready == 4 && buckets[1].first == 0 && buckets[1].floats == kLarge + 64);
  int64_t covered = 0;
  for (const Bucket& bucket : buckets) covered += bucket.floats;
  CHECK(covered == floats);
  CHECK(plan_buckets(program, std::vector<int64_t>(at.size(), -1), 0).empty());
}

}  // namespace

int main() {
  for (int64_t images = 1; images <= 70; ++images) {
    for (int ranks = 1; ranks <= 9; ++ranks) {
      for (const int wanted : {1, 2, 4, 16}) test_batch(images, ranks, wanted);
    }
  }
  test_equal_shares();
  CHECK(sum_of(1) == "0" && sum_of(2) == "(0+1)" && sum_of(3) == "(0+1+2)");
  CHECK(sum_of(4) == "((0+1)+(2+3))" && sum_of(8) == "(((0+1)+(2+3))+((4+5)+(6+7)))");
  test_buckets();
}
