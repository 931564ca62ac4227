// Steps of a kind of batch as a graph: what is enqueued for one, and how many are launched together.
#include <algorithm>
#include <set>

#include "cuda/training/copies.h"
#include "cuda/training/executable.h"

namespace facegen::cuda {
namespace {

constexpr std::size_t kMostGraphs = 64;
// A graph has steps of so many launches, or one step: a launch of a graph takes the host as long as a few
// kernels of a small network take the GPU.
constexpr std::size_t kGraphLaunches = 512, kMostGraphSteps = 16;

}  // namespace

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
    if (graphs_.size() >= kMostGraphs) forget_graphs();
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

// They may be under way, and what they use may go next.
void TrainingExecutable::forget_graphs() {
  settle();
  graphs_.clear();
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
    const int64_t images = parts[0].images;
    if (aside_.can(i) && !products_.does(i, images) && !products_.is_done(i, images)) {
      for (const Part& part : parts) enqueue_aside(i, part);
    } else {
      aside_.wait_before(i, stream_.get());
      const auto has_gate = [&](const Part& part) { return products_.gate_of(i, part.images) != nullptr; };
      if (std::any_of(parts.begin(), parts.end(), has_gate)) aside_.wait_before(i + 1, stream_.get());
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
  a.stopped = stopped_.get();
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
      if (a.array_count == kMostArrays) {
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
  const KeptFlags flags = enqueue_kept_flags(kind.images);
  const CallLayout layout = layout_of(kind.images, kind.gathered);
  find_state(gradients_.get(), gradient_floats_, squares_.get(), losses_.get(), loss_count_ * kind.images, flags,
             program_.clip_norm, state_.get(),
             {reinterpret_cast<Cursor*>(call_.get()), stopped_.get(), results_.get(), layout.result_bytes},
             stream_.get());
}

}  // namespace facegen::cuda
