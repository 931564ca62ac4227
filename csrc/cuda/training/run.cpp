// A call's steps: their numbers go up, their graphs are launched (graphs.cpp), their results come down.
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "cuda/runtime/device.h"
#include "cuda/training/copies.h"
#include "cuda/training/executable.h"

namespace facegen::cuda {
namespace {

// Whatever happens, nothing is under way when a call returns: pinned memory and the caller's are free.
struct Settled {
  cudaStream_t streams[3];
  ~Settled() {
    for (const cudaStream_t stream : streams) {
      if (stream != nullptr) cudaStreamSynchronize(stream);  // null would be all of the process's
    }
  }
};

}  // namespace

Outcome TrainingExecutable::run(const Steps& steps) {
  const DeviceScope scope(device_);
  const bool gathered = steps.held != nullptr;
  if (steps.predicted &&
      (is_shared() || predicted_images_ != steps.images || steps.part_images < steps.images)) {
    throw std::invalid_argument("there is no forward pass of this batch");
  }
  check_shares(steps.images);
  const Kind kind = {steps.images, std::min(steps.images, steps.part_images),
                     steps.update, steps.predicted, gathered, 1};
  const OwnShares own = sharing_.own(steps.images);
  const Settled settled = {{stream_.get(), aside_.stream(), totals_stream_.get()}};
  reserve(steps.images, sizes_of(kind), gathered);
  if (!gathered) {
    take_inputs(steps.inputs, own.first, own.first + own.own_images(), inputs_.data());
    take_targets(steps.targets, targets_.data());
  }
  const CallLayout layout = layout_of(steps.images, gathered);
  for (int64_t first = 0; first < steps.count;) {
    const int64_t count = std::min(steps.count - first, layout.most_steps);
    put_call(steps, first, count, layout);
    launch_all(kind, count);
    copy_down(host_results_.get(), results_.get(), count * layout.result_bytes, stream_.get());
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
    if (sharing_.peers) sharing_.peers->check();
    const int64_t done = read_results(steps, first, count, layout);
    if (steps.update && done > 0) mark_changed();
    if (done < count) {
      Outcome outcome = explain_step(kind, done);
      outcome.steps += first;
      return outcome;
    }
    first += count;
  }
  last_part_images_ = kind.in_parts() ? kind.part_images : own.images;
  if (!kind.in_parts()) last_images_ = steps.images;
  return {steps.count, ""};
}

void TrainingExecutable::predict(const Steps& steps, const std::vector<float*>& outputs) {
  const DeviceScope scope(device_);
  const Settled settled = {{stream_.get(), aside_.stream(), totals_stream_.get()}};
  reserve(steps.images, {steps.images, {steps.images}, 1, false}, false);
  take_inputs(steps.inputs, 0, steps.images, inputs_.data());
  put_call(steps, 0, 1, layout_of(steps.images, false));
  enqueue_begin({steps.images, steps.images, false, false, false, 1});
  products_.enqueue_weights(steps.images, stream_.get());
  // Losses end the forward pass; what they read lives until then.
  const std::size_t losses = losses_begin();
  const Part part = whole(steps.images);
  for (std::size_t i = 0; i < losses; ++i) enqueue_step(i, part);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TrainingMap map = locate(program_.steps[losses + i].x, part);
    copy_out(outputs[i], map.data, 4 * steps.images * map.value->floats(), stream_.get());
  }
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
  predicted_images_ = steps.images;
}

void TrainingExecutable::put_call(const Steps& steps, int64_t first, int64_t count,
                                  const CallLayout& layout) {
  char* const to = host_call_.get();
  const auto put = [](char* place, const auto& value) { std::memcpy(place, &value, sizeof value); };
  put(to, Cursor{});
  if (steps.held != nullptr) {
    char* place = to + sizeof(Cursor);
    for (const DeviceMemory<float>& array : steps.held->arrays) {
      put(place, static_cast<const void*>(array.get()));
      place += sizeof(void*);
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    const int64_t step = first + i;
    char* entry = to + layout.entries_at + i * layout.entry_bytes;
    const uint64_t number = steps.first + static_cast<uint64_t>(step);
    put(entry, StepNumbers{steps.seed, number});
    // A forward pass has no rates.
    const double* const rates =
        steps.rates == nullptr ? nullptr : steps.rates + step * steps.rates_a_step;
    put_updates(entry + sizeof(StepNumbers), rates, number);
    if (steps.held != nullptr) {
      std::memcpy(entry + numbers_.bytes(), steps.rows + step * steps.images,
                  sizeof(int32_t) * static_cast<std::size_t>(steps.images));
    }
  }
  copy_up(call_.get(), to, layout.entries_at + count * layout.entry_bytes, stream_.get());
}

// How many steps were finite, up to the first that was not.
int64_t TrainingExecutable::read_results(const Steps& steps, int64_t first, int64_t count,
                                         const CallLayout& layout) const {
  const int64_t losses = loss_count_ * steps.images;
  for (int64_t i = 0; i < count; ++i) {
    const char* const result = host_results_.get() + i * layout.result_bytes;
    StepState state;
    std::memcpy(&state, result, sizeof state);
    if (!state.finite) return i;
    steps.lengths[first + i] = state.length;
    std::memcpy(steps.losses + (first + i) * losses, result + sizeof state,
                sizeof(double) * static_cast<std::size_t>(losses));
  }
  return count;
}

void TrainingExecutable::mark_changed() {
  for (const TrainingStep* update : updates_) {
    for (const int32_t index :
         {update->weight, update->first_moment, update->second_moment, update->average}) {
      if (index >= 0) arrays_[static_cast<std::size_t>(index)]->changed();
    }
  }
  for (const TrainingStep& s : program_.steps) {
    if (s.op != TrainingOp::kUpdateStatistics) continue;
    arrays_[static_cast<std::size_t>(s.mean)]->changed();
    arrays_[static_cast<std::size_t>(s.var)]->changed();
  }
}

}  // namespace facegen::cuda
