// A call's steps: their numbers go up, graphs are launched one behind the other, their results come down.
#include <algorithm>
#include <cstring>
#include <set>
#include <stdexcept>

#include "cuda/runtime/device.h"
#include "cuda/training/copies.h"
#include "cuda/training/executable.h"

namespace facegen::cuda {
namespace {

constexpr std::size_t kMostGraphs = 64;
// A graph has steps of so many launches, or one step: a launch of a graph takes the host as long as a few
// kernels of a small network take the GPU.
constexpr std::size_t kGraphLaunches = 512, kMostGraphSteps = 16;

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

void TrainingExecutable::launch_all(Kind kind, int64_t count) {
  launch(kind);
  --count;
  Kind several = kind;
  several.steps = static_cast<int32_t>(
      std::clamp<std::size_t>(kGraphLaunches / program_.steps.size(), 1, kMostGraphSteps));
  for (; count >= several.steps; count -= several.steps) launch(several);
  for (; count > 0; --count) launch(kind);
}

// The first batch of a kind is launched kernel by kernel: they are loaded when they are first launched, which
// must not happen while a graph is recorded.
void TrainingExecutable::launch(const Kind& kind) {
  const auto found = graphs_.find(kind);
  if (found == graphs_.end()) {
    if (graphs_.size() >= kMostGraphs) graphs_.clear();
    if (kind.steps == 1) {
      enqueue(kind);
      graphs_[kind];
      return;
    }
  }
  GraphExec& exec = graphs_[kind];
  if (!exec) exec = record(kind);
  FACEGEN_CUDA_CHECK(cudaGraphLaunch(exec.get(), stream_.get()));
}

GraphExec TrainingExecutable::record(const Kind& kind) {
  cudaGraph_t recorded = nullptr;
  FACEGEN_CUDA_CHECK(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
  try {
    for (int32_t step = 0; step < kind.steps; ++step) enqueue(kind);
  } catch (...) {
    cudaStreamEndCapture(stream_.get(), &recorded);
    const Graph dropped(recorded);
    throw;
  }
  FACEGEN_CUDA_CHECK(cudaStreamEndCapture(stream_.get(), &recorded));
  const Graph graph(recorded);
  cudaGraphExec_t made = nullptr;
  FACEGEN_CUDA_CHECK(cudaGraphInstantiateWithFlags(&made, graph.get(), 0));
  return GraphExec(made);
}

// One step.
void TrainingExecutable::enqueue(const Kind& kind) {
  const auto backward = static_cast<std::size_t>(program_.forward_steps + program_.backward_steps);
  enqueue_begin(kind);
  const std::vector<std::vector<Part>> calls = parts_of(kind);
  std::set<int64_t> sizes;  // the last part may be a smaller one
  for (const std::vector<Part>& parts : calls) {
    for (const Part& part : parts) sizes.insert(part.images);
  }
  for (const int64_t images : sizes) products_.enqueue_weights(images, stream_.get());
  for (const std::vector<Part>& parts : calls) {
    enqueue_steps(parts, kind.predicted ? losses_begin() : 0);
    if (kind.in_parts()) enqueue_sum(parts[0]);
  }
  enqueue_end(kind);
  if (!kind.update) return;
  const auto* const numbers = reinterpret_cast<const OptimizerNumbers*>(numbers_.get() + sizeof(StepNumbers));
  const auto* const number = reinterpret_cast<const StepNumbers*>(numbers_.get());
  run_updates(updated_.get(), numbers, blocks_.get(), blocks_.count(), number, state_.get(), stream_.get());
  for (std::size_t i = backward; i < program_.steps.size(); ++i) {
    const TrainingStep& step = program_.steps[i];
    if (step.op != TrainingOp::kUpdateStatistics) continue;
    const Part part = whole(kind.images);
    run_update_statistics(call(step, part), norm(step, part), state_.get());
  }
}

// Forwards and backwards: gradients in parameters beside the others, and their sums beside both.
void TrainingExecutable::enqueue_steps(const std::vector<Part>& parts, std::size_t first) {
  const auto last = static_cast<std::size_t>(program_.forward_steps + program_.backward_steps);
  aside_.clear();
  adding_ = false;
  for (std::size_t i = first; i < last; ++i) {
    if (aside_.can(i) && !products_.does(i, parts[0].images)) {
      for (const Part& part : parts) enqueue_aside(i, part);
    } else {
      aside_.wait_before(i, stream_.get());
      enqueue_all(i, parts);
    }
    if (is_shared()) enqueue_totals(i, parts);
  }
  aside_.join(stream_.get());
  join_totals();
}

// Those that are computed one group after another, of each group all at a time.
std::vector<std::vector<Part>> TrainingExecutable::parts_of(const Kind& kind) const {
  if (!kind.in_parts()) return {shares_of(kind.images)};
  std::vector<std::vector<Part>> parts;
  for (int64_t first = 0; first < kind.images; first += kind.part_images) {
    parts.push_back({{std::min(kind.part_images, kind.images - first), first, kind.images}});
  }
  return parts;
}

void TrainingExecutable::enqueue_begin(const Kind& kind) {
  const CallLayout layout = layout_of(kind.images, kind.gathered);
  BeginArguments a = {};
  a.call = call_.get();
  a.entries_at = layout.entries_at;
  a.entry_bytes = layout.entry_bytes;
  a.words = static_cast<int32_t>(numbers_.bytes() / 4);
  a.numbers = reinterpret_cast<uint32_t*>(numbers_.get());
  a.state = state_.get();
  int32_t number = 0;
  const OwnShares own = sharing_.own(kind.images);
  const auto gather = [&](const std::vector<DeviceMemory<float>>& to, const std::vector<int64_t>& floats,
                          int64_t first, int64_t images) {
    for (std::size_t i = 0; i < to.size(); ++i) {
      if (a.array_count == kMostGathered) {
        run_begin(a, stream_.get());
        a.array_count = 0;
      }
      a.arrays[a.array_count++] = {to[i].get(), floats[i], number++, first, images};
    }
  };
  if (kind.gathered) {
    gather(inputs_, input_floats_, own.first, own.own_images());
    gather(targets_, target_floats_, 0, kind.images);
  }
  run_begin(a, stream_.get());
  if (sharing_.peers) {  // other ranks' losses are added
    const auto bytes = sizeof(double) * static_cast<std::size_t>(loss_count_ * kind.images);
    FACEGEN_CUDA_CHECK(cudaMemsetAsync(losses_.get(), 0, bytes, stream_.get()));
  }
}

// The first part's gradients are copied, those between are added to them, and they to the last's.
void TrainingExecutable::enqueue_sum(const Part& part) {
  const int64_t count = gradient_floats_;
  if (part.first == 0) {
    copy_out(sum_.get(), gradients_.get(), 4 * count, stream_.get());
  } else if (part.first + part.images < part.whole) {
    add_numbers(gradients_.get(), sum_.get(), count, stream_.get());
  } else {
    add_numbers(sum_.get(), gradients_.get(), count, stream_.get());
  }
}

void TrainingExecutable::enqueue_end(const Kind& kind) {
  for (const int32_t kept : program_.kept) {
    const TrainingMap map = locate(kept, whole(kind.images));
    check_finite(map.data, kind.images * map.value->floats(), &state_.get()->kept_not_finite, stream_.get());
  }
  const CallLayout layout = layout_of(kind.images, kind.gathered);
  find_state(gradients_.get(), gradient_floats_, squares_.get(), losses_.get(), loss_count_ * kind.images,
             program_.clip_norm, state_.get(),
             {reinterpret_cast<Cursor*>(call_.get()), results_.get(), layout.result_bytes}, stream_.get());
}

}  // namespace facegen::cuda
