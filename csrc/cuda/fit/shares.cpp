#include "cuda/fit/shares.h"

#include <algorithm>
#include <numeric>

namespace facegen::cuda {
namespace {

// 4 MiB: two GPUs at NVLink's rate need some 30 microseconds for them, several times what a sum of nothing
// takes; and few enough that the last ones, behind which the step waits, are a small part of a large network.
constexpr int64_t kBucketFloats = int64_t{1} << 20;

// The gradients that a step writes.
std::vector<int32_t> written_gradients(const TrainingStep& s) {
  switch (s.op) {
    case TrainingOp::kWeightGradient:
    case TrainingOp::kDepthwiseWeightGradient: return {s.weight};
    case TrainingOp::kBiasGradient: return {s.bias};
    case TrainingOp::kPreluGradient: return {s.slope};
    case TrainingOp::kBatchNormGradient:
    case TrainingOp::kInstanceNormGradient:
    case TrainingOp::kLayerNormGradient: return {s.gamma, s.beta};
    default: return {};
  }
}

}  // namespace

OwnShares own_shares(int64_t images, int rank, int ranks, int wanted) {
  const auto common = static_cast<int32_t>(std::gcd(images, int64_t{wanted}));
  if (common % ranks == 0) {
    const int32_t count = common / ranks;
    const int64_t of_share = images / common;
    return {rank * count * of_share, of_share, rank * count, count, common};
  }
  const int64_t first = share_first(images, rank, ranks);
  return {first, share_first(images, rank + 1, ranks) - first, rank, 1, ranks};
}

std::vector<int> sum_groups(int rank, int ranks) {
  if (ranks == 1) return {};
  if ((ranks & (ranks - 1)) != 0) return {0};
  std::vector<int> groups;
  for (int apart = 1; apart < ranks; apart *= 2) groups.push_back(rank & ~apart);
  return groups;
}

std::vector<Bucket> plan_buckets(const TrainingProgram& program, const std::vector<int64_t>& gradient_at,
                                 int64_t floats) {
  std::vector<std::size_t> ready(gradient_at.size(), 0);
  const auto steps = static_cast<std::size_t>(program.forward_steps + program.backward_steps);
  for (std::size_t i = 0; i < steps; ++i) {
    for (const int32_t array : written_gradients(program.steps[i])) {
      if (array >= 0) ready[static_cast<std::size_t>(array)] = i;
    }
  }
  std::vector<std::size_t> arrays;
  for (std::size_t i = 0; i < gradient_at.size(); ++i) {
    if (gradient_at[i] >= 0) arrays.push_back(i);
  }
  std::sort(arrays.begin(), arrays.end(),
            [&](std::size_t a, std::size_t b) { return gradient_at[a] > gradient_at[b]; });
  // From the last layer on, whose gradients are there first.
  std::vector<Bucket> buckets;
  int64_t end = floats;
  std::size_t latest = 0;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const int64_t first = gradient_at[arrays[i]];
    latest = std::max(latest, ready[arrays[i]]);
    if (end - first < kBucketFloats && i + 1 < arrays.size()) continue;
    buckets.push_back({first, end - first, latest});
    end = first;
    latest = 0;
  }
  std::stable_sort(buckets.begin(), buckets.end(),
                   [](const Bucket& a, const Bucket& b) { return a.ready < b.ready; });
  return buckets;
}

}  // namespace facegen::cuda
