// A batch in shares: what of a step is computed share by share, and what is joined, on this GPU and with
// those of other ranks.
//
// Each share's values lie in a place of their own, and so do the gradients that it gives. As soon as those of
// a bucket are there, a stream of its own adds them up, while the backward pass goes on. Values that the program
// keeps stay in their places until they are asked for.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "cuda/runtime/device.h"
#include "cuda/training/copies.h"
#include "cuda/training/executable.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

bool is_joined(const TrainingStep& s) {
  return !s.stored && (s.op == TrainingOp::kBatchNorm ||
                       (s.op == TrainingOp::kBatchNormGradient && (s.trained || s.dx >= 0)));
}

}  // namespace

void TrainingExecutable::plan_shares() {
  if (!is_shared()) return;
  totals_stream_ = make_stream();
  ready_ = make_event();
  total_ = make_event();
  buckets_ = plan_buckets(program_, gradient_at_, gradient_floats_);
  int64_t channels = 0;
  for (const TrainingStep& s : program_.steps) {
    if (is_joined(s)) channels = std::max<int64_t>(channels, program_.values[std::size_t(s.x)].c);
  }
  nodes_ = allocate_device<double>(2 * channels * std::max(sharing_.shares, sharing_.ranks()));
  norm_shares_ = allocate_device<float>(2 * channels);
}

// Of a loss whose images come in groups none is cut.
void TrainingExecutable::check_shares(int64_t images) const {
  if (!is_shared()) return;
  if (images < sharing_.ranks()) {
    throw std::invalid_argument("a batch of " + std::to_string(images) + " images is too small for " +
                                std::to_string(sharing_.ranks()) + " GPUs");
  }
  const int64_t shares = sharing_.own(images).all;
  for (const TrainingStep& s : program_.steps) {
    const int64_t group = loss_group(s);
    for (int64_t share = 1; share < shares; ++share) {
      if (share_first(images, share, shares) % group == 0) continue;
      throw std::invalid_argument("a batch of " + std::to_string(images) + " images in groups of " +
                                  std::to_string(group) + " cannot be cut into " + std::to_string(shares) +
                                  " shares");
    }
  }
}

// The same on every rank, so that all record their graphs at the same step.
TrainingExecutable::Sizes TrainingExecutable::sizes_of(const Kind& kind) const {
  if (kind.in_parts()) {
    Sizes sizes = {kind.part_images, {kind.part_images}, 1, true};
    if (kind.images % kind.part_images > 0) sizes.of_calls.push_back(kind.images % kind.part_images);
    return sizes;
  }
  const OwnShares own = sharing_.own(kind.images);
  const int64_t largest = divide_up(kind.images, int64_t{own.all}), smallest = kind.images / own.all;
  Sizes sizes = {own.count * largest, {largest}, own.count, false};
  if (smallest < largest) sizes.of_calls.push_back(smallest);
  return sizes;
}

std::vector<Part> TrainingExecutable::shares_of(int64_t images) const {
  const OwnShares own = sharing_.own(images);
  std::vector<Part> parts;
  for (int32_t i = 0; i < own.count; ++i) {
    parts.push_back({own.images, own.first + i * own.images, images, own.number + i, own.all, i});
  }
  return parts;
}

void TrainingExecutable::enqueue_all(std::size_t step, const std::vector<Part>& parts) {
  if (parts[0].shares > 1 && is_joined(program_.steps[step])) enqueue_joined(step, parts);
  for (const Part& part : parts) enqueue_step(step, part);
}

// What the images of all shares have in common, in front of the step itself.
void TrainingExecutable::enqueue_joined(std::size_t step, const std::vector<Part>& parts) {
  const TrainingStep& s = program_.steps[step];
  const bool forward = s.op == TrainingOp::kBatchNorm;
  const int64_t floats = int64_t{2} * program_.values[std::size_t(s.x)].c;
  for (const Part& part : parts) {
    double* const node = nodes_.get() + part.share * floats;
    if (forward) {
      find_norm_node(call(s, part), norm(s, part), node);
    } else {
      find_norm_gradient_node(call(s, part), norm(s, part), node);
    }
  }
  const auto count = static_cast<int64_t>(parts.size());
  if (sharing_.peers) sharing_.peers->gather(nodes_.get(), count * floats, stream_.get());
  if (forward) {
    join_norm(call(s, parts[0]), norm(s, parts[0]), nodes_.get());
  } else {
    // Sums over the whole batch: one rank's, in the sum over the ranks.
    join_norm_gradients(call(s, parts[0]), norm(s, parts[0]), nodes_.get(), sharing_.rank() == 0,
                        norm_shares_.get());
  }
}

// Adds up what is complete behind a step: gradients, and behind the forward pass losses, of which a rank has
// its own images' beside zeros.
void TrainingExecutable::enqueue_totals(std::size_t step, const std::vector<Part>& parts) {
  const bool losses = sharing_.peers && step + 1 == static_cast<std::size_t>(program_.forward_steps);
  const auto is_due = [&](const Bucket& bucket) { return bucket.ready == step; };
  if (!losses && std::none_of(buckets_.begin(), buckets_.end(), is_due)) return;
  const cudaStream_t stream = totals_stream_.get();
  FACEGEN_CUDA_CHECK(cudaEventRecord(ready_.get(), stream_.get()));
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream, ready_.get(), 0));
  aside_.follow(stream);
  adding_ = true;
  if (losses) sharing_.peers->add_up(losses_.get(), loss_count_ * parts[0].whole, stream);
  const auto places = static_cast<int64_t>(parts.size());
  for (const Bucket& bucket : buckets_) {
    if (!is_due(bucket)) continue;
    float* const first = gradients_.get() + bucket.first;
    for (int64_t apart = 1; apart < places; apart *= 2) {
      for (int64_t place = 0; place + apart < places; place += 2 * apart) {
        add_numbers(first + (place + apart) * gradient_floats_, first + place * gradient_floats_, bucket.floats,
                    stream);
      }
    }
    if (sharing_.peers) sharing_.peers->add_up(first, bucket.floats, stream);
  }
}

// The step goes on behind the totals.
void TrainingExecutable::join_totals() {
  if (!adding_) return;
  FACEGEN_CUDA_CHECK(cudaEventRecord(total_.get(), totals_stream_.get()));
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream_.get(), total_.get(), 0));
}

// Whether what is kept is finite, of all ranks: a step is done by all or by none. Behind all else of the step.
KeptFlags TrainingExecutable::enqueue_kept_flags(int64_t images) {
  const KeptFlags flags = {kept_not_finite_.get(), sharing_.ranks()};
  for (const int32_t kept : program_.kept) {
    for (const Part& part : shares_of(images)) {
      const TrainingMap map = locate(kept, part);
      check_finite(map.data, part.images * map.value->floats(), flags.not_finite + sharing_.rank(), stream_.get());
    }
  }
  if (sharing_.peers && !program_.kept.empty()) sharing_.peers->gather(flags.not_finite, 1, stream_.get());
  return flags;
}

// Of ranks that have one image more than others, too. It is waited for where there are peers, whose connections
// another trainer may use next: see Peers.
void TrainingExecutable::copy_kept(std::size_t number, int64_t images, float* to) {
  if (last_images_ != images) throw std::runtime_error("another thread has begun a step meanwhile");
  const DeviceScope scope(device_);
  const int32_t value = program_.kept[number];
  const int64_t floats = program_.values[static_cast<std::size_t>(value)].floats();
  float* const batch = sharing_.peers ? kept_.get() : to;
  for (const Part& part : shares_of(images)) {
    copy_out(batch + part.first * floats, locate(value, part).data, 4 * part.images * floats, stream_.get());
  }
  if (!sharing_.peers) return;
  for (int rank = 0; rank < sharing_.ranks(); ++rank) {
    const OwnShares own = sharing_.of(images, rank);
    sharing_.peers->broadcast(batch + own.first * floats, own.own_images() * floats, rank, stream_.get());
  }
  copy_out(to, batch, 4 * images * floats, stream_.get());
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
  sharing_.peers->check();
}

}  // namespace facegen::cuda
