// Steps that the host does not wait for.
//
// All of them are on one stream, so that memory of the GPU is theirs in turn; what the host fills and reads is in
// a ring, a place a step. With other trainers of the same arrays they are ordered by events: see SharedArray.
#include <cstring>
#include <limits>
#include <stdexcept>
#include <utility>

#include "cuda/runtime/device.h"
#include "cuda/training/copies.h"
#include "cuda/training/executable.h"

namespace facegen::cuda {

TrainingExecutable::Beginning TrainingExecutable::begin(const Steps& steps) {
  if (sharing_.peers) throw std::invalid_argument("steps of several GPUs are waited for");
  const DeviceScope scope(device_);
  check_steps(steps);
  const Kind kind = kind_of(steps, true);
  if (begun_.size() == kMostBegun) return Beginning::kFinishFirst;
  const bool again = !begun_.empty() && begun_.back().kind.images == kind.images &&
                     begun_.back().kind.part_images == kind.part_images;
  if (!begun_.empty() && !again && !has_room(kind.images, sizes_of(kind))) return Beginning::kFinishFirst;
  Begun begun;  // until nothing copies from it, whatever is thrown
  try {
    if (!prepare_begun(kind, again, begun)) {
      return begun_.empty() ? Beginning::kRun : Beginning::kFinishFirst;
    }
    enqueue_begun(steps, begun);
    begun_.push_back(std::move(begun));
  } catch (...) {
    settle();
    throw;
  }
  return Beginning::kBegun;
}

// Memory of the step; whether there is enough.
bool TrainingExecutable::prepare_begun(const Kind& kind, bool again, Begun& begun) {
  try {
    if (again) {
      last_images_ = predicted_images_ = 0;
    } else {
      reserve(kind.images, sizes_of(kind), true);
      reserve_staged(kind.images);
    }
    if (!spare_.empty()) {
      begun = std::move(spare_.back());
      spare_.pop_back();
    }
    const CallLayout layout = layout_of(kind.images, true);
    const int64_t call_bytes = layout.entries_at + layout.entry_bytes;
    if (begun.call.bytes() < call_bytes) begun.call = allocate_pinned<char>(call_bytes);
    if (begun.result.bytes() < layout.result_bytes) begun.result = allocate_pinned<char>(layout.result_bytes);
    if (!begun.done) begun.done = make_event();
  } catch (const Error& error) {
    if (error.code != cudaErrorMemoryAllocation) throw;
    if (begun_.empty()) {
      settle();
      release_staged();  // what there is of it may be what is missing
    }
    return false;
  }
  begun.kind = kind;
  return true;
}

// The place whose turn it is. arrivals_stream_ goes on when the batch that was there has been fetched.
TrainingExecutable::Staged& TrainingExecutable::next_staged() {
  Staged& staged = staged_[staged_next_++ % staged_.size()];
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(arrivals_stream_.get(), staged.fetched.get(), 0));
  return staged;
}

// stream_ goes on when the batch is there.
void TrainingExecutable::mark_arrived(const Staged& staged) const {
  FACEGEN_CUDA_CHECK(cudaEventRecord(staged.arrived.get(), arrivals_stream_.get()));
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream_.get(), staged.arrived.get(), 0));
}

void TrainingExecutable::enqueue_begun(const Steps& steps, Begun& begun) {
  const Kind& kind = begun.kind;
  const Staged& staged = next_staged();
  const DeviceMemory<float>* const arrays = staged.arrays.data();
  take_batch(steps, arrays, arrays + inputs_.size(), arrivals_stream_.get());
  mark_arrived(staged);
  copy_up(call_.get(), begun.call.get(), put_step(steps, &staged, begun.call.get()), stream_.get());
  follow_arrays();
  launch(kind);
  // Behind the whole step, of which the host launches one graph. The place's turn comes again two steps later.
  FACEGEN_CUDA_CHECK(cudaEventRecord(staged.fetched.get(), stream_.get()));
  copy_down(begun.result.get(), results_.get(), layout_of(kind.images, true).result_bytes, stream_.get());
  FACEGEN_CUDA_CHECK(cudaEventRecord(begun.done.get(), stream_.get()));
  use_arrays();
  if (kind.update) mark_changed();
  last_part_images_ = kind.in_parts() ? kind.part_images : sharing_.own(kind.images).images;
  if (!kind.in_parts()) last_images_ = kind.images;
}

Outcome TrainingExecutable::finish(double* losses, double* length) {
  if (begun_.empty()) throw std::logic_error("no step was begun");
  const DeviceScope scope(device_);
  FACEGEN_CUDA_CHECK(cudaEventSynchronize(begun_.front().done.get()));
  Begun begun = std::move(begun_.front());
  begun_.pop_front();
  const Kind kind = begun.kind;
  StepState state;
  std::memcpy(&state, begun.result.get(), sizeof state);
  *length = state.length;
  std::memcpy(losses, begun.result.get() + sizeof state,
              sizeof(double) * static_cast<std::size_t>(loss_count_ * kind.images));
  spare_.push_back(std::move(begun));
  if (state.finite) return {1, ""};
  if (kind.images > 0) losses[0] = std::numeric_limits<double>::quiet_NaN();
  settle();
  while (!begun_.empty()) {
    spare_.push_back(std::move(begun_.front()));
    begun_.pop_front();
  }
  last_images_ = predicted_images_ = 0;
  return explain_stopped(kind, 0);
}

}  // namespace facegen::cuda
