// How a batch is shared by GPUs, and when its gradients are added up: pure functions of the batch, the ranks
// and the program.
//
// A batch is cut into shares, consecutive images each, whose sums are made by themselves and added as a binary
// tree. A rank has as many neighbouring shares as the others, so that the tree's lower levels are within a
// rank: any number of ranks that divides the shares gives the same sums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "host_device.h"
#include "training_program.h"

namespace facegen::cuda {

// A rank's shares of a batch.
struct OwnShares {
  int64_t first, images;  // of the first of them; the others have as many
  int32_t number, count;  // of the first among all; how many
  int32_t all;            // of the batch

  int64_t own_images() const { return count * images; }
};

// Where `wanted` shares cannot be equal, or ranks cannot have equally many, there is one a rank; sizes then
// differ by at most one image. `wanted` is a power of 2; there are at least as many images as ranks.
OwnShares own_shares(int64_t images, int rank, int ranks, int wanted);

// Images in front of a share, of so many.
FACEGEN_HOST_DEVICE constexpr int64_t share_first(int64_t images, int64_t share, int64_t shares) {
  return images * share / shares;
}

// Of a rank, its place in each step of a sum over the ranks: those of the same number add up. Steps of pairs
// where the ranks are a power of 2, else one of all.
std::vector<int> sum_groups(int rank, int ranks);

// Neighbouring gradients that are added up at once.
struct Bucket {
  int64_t first, floats;
  std::size_t ready;  // the step behind which they are there
};

// gradient_at: by array, floats from the start, or -1; ascending in the order of updates, `floats` in all.
// In the order in which they are ready.
std::vector<Bucket> plan_buckets(const TrainingProgram& program, const std::vector<int64_t>& gradient_at,
                                 int64_t floats);

}  // namespace facegen::cuda
