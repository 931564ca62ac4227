// A call's steps: their numbers go up, their graphs are launched (graphs.cpp), their results come down.
#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "cuda/runtime/device.h"
#include "cuda/training/copies.h"
#include "cuda/training/executable.h"
#include "cuda/training/settled.h"

namespace facegen::cuda {
namespace {

template <typename T>
void put(char* place, const T& value) {
  std::memcpy(place, &value, sizeof value);
}

}  // namespace

void TrainingExecutable::settle() const noexcept {
  for (const cudaStream_t stream :
       {stream_.get(), aside_.stream(), totals_stream_.get(), arrivals_stream_.get()}) {
    if (stream != nullptr) cudaStreamSynchronize(stream);  // null would be all of the process's
  }
}

TrainingExecutable::Kind TrainingExecutable::kind_of(const Steps& steps, bool gathered) const {
  return {steps.images, std::min(steps.images, steps.part_images), steps.update, steps.predicted, gathered, 1};
}

void TrainingExecutable::check_steps(const Steps& steps) const {
  if (steps.predicted &&
      (is_shared() || predicted_images_ != steps.images || steps.part_images < steps.images)) {
    throw std::invalid_argument("there is no forward pass of this batch");
  }
  check_shares(steps.images);
}

// What others do with them is behind what is on the stream now.
void TrainingExecutable::use_arrays() const {
  FACEGEN_CUDA_CHECK(cudaEventRecord(used_->get(), stream_.get()));
  for (const auto& array : arrays_) array->used(used_);
}

// What others do with arrays that are shared is over when the stream goes on.
void TrainingExecutable::follow_arrays() const {
  std::vector<std::shared_ptr<const Event>> followed = {used_};
  for (const auto& array : arrays_) {
    auto use = array->last_use();
    if (use == nullptr || std::find(followed.begin(), followed.end(), use) != followed.end()) continue;
    FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream_.get(), use->get(), 0));
    followed.push_back(std::move(use));
  }
}

// explain_step(), behind which steps go on even where it throws, as for too little memory.
Outcome TrainingExecutable::explain_stopped(const Kind& kind, int64_t step) {
  try {
    return explain_step(kind, step);
  } catch (...) {
    cudaMemsetAsync(stopped_.get(), 0, sizeof(int32_t), stream_.get());
    settle();
    throw;
  }
}

Outcome TrainingExecutable::run(const Steps& steps) {
  if (!begun_.empty()) throw std::logic_error("steps that were begun have to be finished first");
  const DeviceScope scope(device_);
  const bool gathered = steps.held != nullptr;
  check_steps(steps);
  const Kind kind = kind_of(steps, gathered);
  const Settled settled = {[this] { settle(); }};
  reserve(steps.images, sizes_of(kind), gathered);
  if (!gathered) take_batch(steps, inputs_.data(), targets_.data(), stream_.get());
  follow_arrays();
  const CallLayout layout = layout_of(steps.images, gathered);
  for (int64_t first = 0; first < steps.count;) {
    const int64_t count = std::min(steps.count - first, layout.most_steps);
    put_call(steps, first, count, layout);
    launch_all(kind, count);
    use_arrays();
    copy_down(host_results_.get(), results_.get(), count * layout.result_bytes, stream_.get());
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
    if (sharing_.peers) sharing_.peers->check();
    const int64_t done = read_results(steps, first, count, layout);
    if (steps.update && done > 0) mark_changed();
    if (done < count) {
      Outcome outcome = explain_stopped(kind, done);
      outcome.steps += first;
      return outcome;
    }
    first += count;
  }
  last_part_images_ = kind.in_parts() ? kind.part_images : sharing_.own(steps.images).images;
  if (!kind.in_parts()) last_images_ = steps.images;
  return {steps.count, ""};
}

bool TrainingExecutable::predict(const Steps& steps, const std::vector<float*>& outputs) {
  const DeviceScope scope(device_);
  const Sizes sizes = {steps.images, {steps.images}, 1, false};
  if (!begun_.empty() && !has_room(steps.images, sizes)) return false;
  try {
    reserve(steps.images, sizes, false);
    enqueue_forward(steps, outputs);
  } catch (...) {
    settle();
    throw;
  }
  predicted_images_ = steps.images;
  return true;
}

// Behind steps that were begun the batch arrives as theirs.
void TrainingExecutable::enqueue_forward(const Steps& steps, const std::vector<float*>& outputs) {
  const Staged* const staged = begun_.empty() ? nullptr : &next_staged();
  const bool gathered = staged != nullptr;
  take_inputs(steps.inputs, 0, steps.images, gathered ? staged->arrays.data() : inputs_.data(),
              gathered ? arrivals_stream_.get() : stream_.get());
  if (gathered) mark_arrived(*staged);
  const CallLayout layout = layout_of(steps.images, gathered);
  std::vector<char> call(static_cast<std::size_t>(layout.entries_at + layout.entry_bytes));
  intake_.copies().copy_up(call_.get(), call.data(), put_step(steps, staged, call.data()), stream_.get());
  follow_arrays();
  enqueue_begin({steps.images, steps.images, false, false, gathered, 1});
  if (gathered) FACEGEN_CUDA_CHECK(cudaEventRecord(staged->fetched.get(), stream_.get()));
  products_.enqueue_weights(steps.images, stream_.get());
  // Losses end the forward pass; what they read lives until then.
  const std::size_t losses = losses_begin();
  const Part part = whole(steps.images);
  for (std::size_t i = 0; i < losses; ++i) enqueue_step(i, part);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TrainingMap map = locate(program_.steps[losses + i].x, part);
    copy_out(outputs[i], map.data, 4 * steps.images * map.value->floats(), stream_.get());
  }
  use_arrays();
}

// The call of one step, whose batch is staged or (null) there already; how many bytes it has.
int64_t TrainingExecutable::put_step(const Steps& steps, const Staged* staged, char* call) const {
  const bool gathered = staged != nullptr;
  const CallLayout layout = layout_of(steps.images, gathered);
  put(call, Cursor{});
  std::vector<int32_t> rows;
  if (gathered) {
    put_addresses(staged->arrays, call);
    rows.resize(static_cast<std::size_t>(steps.images));
    std::iota(rows.begin(), rows.end(), 0);
  }
  put_entry(steps, 0, gathered ? rows.data() : nullptr, call + layout.entries_at);
  return layout.entries_at + layout.entry_bytes;
}

void TrainingExecutable::put_addresses(const std::vector<DeviceMemory<float>>& arrays, char* call) {
  char* place = call + sizeof(Cursor);
  for (const DeviceMemory<float>& array : arrays) {
    put(place, static_cast<const void*>(array.get()));
    place += sizeof(void*);
  }
}

// Of a step of the call, and of the rows of its batch in arrays that are gathered; null: of none.
void TrainingExecutable::put_entry(const Steps& steps, int64_t step, const int32_t* rows, char* entry) const {
  const uint64_t number = steps.first + static_cast<uint64_t>(step);
  put(entry, StepNumbers{steps.seed, number});
  // A forward pass has no rates.
  const double* const rates = steps.rates == nullptr ? nullptr : steps.rates + step * steps.rates_a_step;
  put_updates(entry + sizeof(StepNumbers), rates, number);
  if (rows == nullptr) return;
  std::memcpy(entry + numbers_.bytes(), rows, sizeof(int32_t) * static_cast<std::size_t>(steps.images));
}

void TrainingExecutable::put_call(const Steps& steps, int64_t first, int64_t count,
                                  const CallLayout& layout) {
  char* const to = host_call_.get();
  put(to, Cursor{});
  if (steps.held != nullptr) put_addresses(steps.held->arrays, to);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t step = first + i;
    const int32_t* const rows = steps.held == nullptr ? nullptr : steps.rows + step * steps.images;
    put_entry(steps, step, rows, to + layout.entries_at + i * layout.entry_bytes);
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
