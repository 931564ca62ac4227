#include "cuda/training/executable.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>

#include "check_program.h"
#include "cuda/runtime/device.h"
#include "cuda/training/copies.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

constexpr int64_t kLineFloats = 64;       // arrays begin at multiples of 256 bytes
constexpr std::size_t kMostGraphs = 64;  // batch sizes

int64_t round_up(int64_t floats) { return divide_up(floats, kLineFloats) * kLineFloats; }

template <typename T>
DeviceMemory<T> zeros(int64_t count) {
  DeviceMemory<T> memory = allocate_device<T>(count);
  if (count > 0) {
    FACEGEN_CUDA_CHECK(cudaMemset(memory.get(), 0, static_cast<std::size_t>(memory.bytes())));
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(cudaStreamLegacy));
  }
  return memory;
}

}  // namespace

TrainingExecutable::TrainingExecutable(TrainingProgram program, int device, ProductKernels kernels)
    : program_(std::move(program)), device_(device) {
  const std::string why = why_not_trained(program_);
  if (!why.empty()) throw std::invalid_argument(why);
  find_device(device);  // throws where there is none
  const DeviceScope scope(device_);
  stream_ = make_stream();
  for (const TrainingArray& array : program_.arrays) {
    arrays_.push_back(share_array(device_, array.data, array.floats));
  }
  std::vector<float*> parameters;
  for (const auto& array : arrays_) parameters.push_back(array->get());
  products_ = Products(program_, parameters, device_, kernels);
  gradient_at_.assign(program_.arrays.size(), -1);
  for (const TrainingStep& step : program_.steps) {
    loss_number_.push_back(step.op == TrainingOp::kLoss ? loss_count_++ : -1);
    if (step.op != TrainingOp::kUpdate) continue;
    const auto i = static_cast<std::size_t>(step.weight);
    gradient_at_[i] = gradient_floats_;
    gradient_floats_ += round_up(program_.arrays[i].floats);
    updates_.push_back(&step);
  }
  int64_t statistics = 0;
  for (const int64_t floats : program_.statistics) {
    statistics_at_.push_back(statistics);
    statistics += round_up(floats);
  }
  // What lies between two arrays' gradients is zero, as is what no step writes.
  gradients_ = zeros<float>(gradient_floats_);
  statistics_ = zeros<float>(statistics);
  squares_ = allocate_device<double>(divide_up(gradient_floats_, kUpdateNumbers));
  state_ = zeros<StepState>(1);
  place_ = allocate_device<unsigned long long>(1);
  host_state_ = allocate_pinned<StepState>(1);
  for (const TrainingValue& value : program_.values) {
    if (value.kind == ValueKind::kArena) continue;
    auto& floats = value.kind == ValueKind::kInput ? input_floats_ : target_floats_;
    const auto i = static_cast<std::size_t>(value.index);
    if (floats.size() <= i) floats.resize(i + 1);
    floats[i] = value.floats();
  }
  inputs_.resize(input_floats_.size());
  targets_.resize(target_floats_.size());
  for (std::size_t i = 0; i < program_.steps.size(); ++i) {
    const TrainingStep& step = program_.steps[i];
    if (step.op != TrainingOp::kResample && step.op != TrainingOp::kResampleGradient) continue;
    const bool forward = step.op == TrainingOp::kResample;
    const auto keep = [&](const TrainingTaps& taps, int32_t in) -> DeviceTaps {
      const auto ints = [&](const std::vector<int32_t>& v) {
        return tap_places_.emplace_back(facegen::cuda::upload(v.data(), int64_t(v.size()))).get();
      };
      const auto floats = [&](const std::vector<float>& v) {
        return tap_weights_.emplace_back(facegen::cuda::upload(v.data(), int64_t(v.size()))).get();
      };
      if (forward) return {nullptr, ints(taps.positions), floats(taps.weights), taps.taps};
      const TransposedTaps t = transpose_taps(taps, in);
      return {ints(t.start), ints(t.outputs), floats(t.weights), 0};
    };
    const TrainingValue& in = program_.values[std::size_t(forward ? step.x : step.dx)];
    const DeviceTaps rows = keep(step.rows, in.h), columns = keep(step.columns, in.w);
    taps_[i] = {rows, columns};
  }
  plan_updates();
}

TrainingExecutable::~TrainingExecutable() {
  // Where a step has failed, work may still be under way.
  if (stream_) cudaStreamSynchronize(stream_.get());
}

// Memory for a batch. Graphs have recorded addresses, and go with them.
void TrainingExecutable::reserve(int64_t images) {
  last_images_ = predicted_images_ = 0;
  if (images > capacity_) reserve_values(images);
  // A smaller batch may be cut into more parts, or be split where a larger one was not.
  if (products_.reserve(images)) graphs_.clear();
  const int64_t scratch = std::max(training_scratch_bytes(program_, images), products_.scratch_bytes(images));
  if (scratch <= scratch_.bytes()) return;
  graphs_.clear();
  scratch_ = {};
  scratch_ = allocate_device<char>(scratch);
}

void TrainingExecutable::reserve_values(int64_t images) {
  if (program_.arena_floats > kMostFloats / images || !is_countable(program_, images)) {
    throw std::bad_alloc();
  }
  graphs_.clear();
  capacity_ = 0;
  arena_ = {};
  losses_ = {};
  for (auto* memory : {&inputs_, &targets_}) {
    for (auto& array : *memory) array = {};
  }
  arena_ = allocate_device<float>(images * program_.arena_floats);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    inputs_[i] = allocate_device<float>(images * input_floats_[i]);
  }
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    targets_[i] = allocate_device<float>(images * target_floats_[i]);
  }
  losses_ = allocate_device<double>(loss_count_ * images);
  host_losses_ = allocate_pinned<double>(loss_count_ * images);
  capacity_ = images;
}

void TrainingExecutable::copy_batch(const TrainingBatch& batch) {
  for (std::size_t i = 0; i < batch.inputs.size(); ++i) {
    copy_up(inputs_[i].get(), batch.inputs[i], 4 * batch.images * input_floats_[i], stream_.get());
  }
  for (std::size_t i = 0; i < batch.targets.size(); ++i) {
    copy_up(targets_[i].get(), batch.targets[i], 4 * batch.images * target_floats_[i], stream_.get());
  }
}

double TrainingExecutable::run(const TrainingBatch& batch) {
  const DeviceScope scope(device_);
  const int64_t images = batch.images;
  if (batch.predicted && predicted_images_ != images) {
    throw std::invalid_argument("there is no forward pass of this batch");
  }
  reserve(images);
  copy_batch(batch);
  put_numbers(batch);
  launch({images, batch.update, batch.predicted});
  copy_down(host_losses_.get(), losses_.get(), 8 * loss_count_ * images, stream_.get());
  copy_down(host_state_.get(), state_.get(), sizeof(StepState), stream_.get());
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
  std::copy_n(host_losses_.get(), loss_count_ * images, batch.losses);
  const StepState state = *host_state_.get();
  if (!state.finite) explain(images);
  last_images_ = images;
  if (batch.update) {
    for (std::size_t i = 0; i < updates_.size(); ++i) {
      const TrainingStep& s = *updates_[i];
      for (const int32_t index : {s.weight, s.first_moment, s.second_moment, s.average}) {
        if (index >= 0) arrays_[static_cast<std::size_t>(index)]->changed();
      }
    }
    for (const TrainingStep& s : program_.steps) {
      if (s.op != TrainingOp::kUpdateStatistics) continue;
      arrays_[static_cast<std::size_t>(s.mean)]->changed();
      arrays_[static_cast<std::size_t>(s.var)]->changed();
    }
  }
  return state.length;
}

// The first batch of a size is launched step by step: kernels are loaded when they are first launched, which
// must not happen while a graph is recorded.
void TrainingExecutable::launch(const Kind& kind) {
  const auto found = graphs_.find(kind);
  if (found == graphs_.end()) {
    if (graphs_.size() >= kMostGraphs) graphs_.clear();
    graphs_[kind];
    return enqueue(kind);
  }
  GraphExec& exec = found->second;
  if (!exec) {
    cudaGraph_t recorded = nullptr;
    FACEGEN_CUDA_CHECK(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal));
    try {
      enqueue(kind);
    } catch (...) {
      cudaStreamEndCapture(stream_.get(), &recorded);
      const Graph dropped(recorded);
      throw;
    }
    FACEGEN_CUDA_CHECK(cudaStreamEndCapture(stream_.get(), &recorded));
    const Graph graph(recorded);
    cudaGraphExec_t made = nullptr;
    FACEGEN_CUDA_CHECK(cudaGraphInstantiateWithFlags(&made, graph.get(), 0));
    exec = GraphExec(made);
  }
  FACEGEN_CUDA_CHECK(cudaGraphLaunch(exec.get(), stream_.get()));
}

void TrainingExecutable::enqueue(const Kind& kind) {
  const int64_t images = kind.images;
  const auto backward = static_cast<std::size_t>(program_.forward_steps + program_.backward_steps);
  products_.enqueue_weights(stream_.get());
  for (std::size_t i = kind.predicted ? losses_begin() : 0; i < backward; ++i) enqueue_step(i, images);
  enqueue_end(images);
  if (!kind.update) return;
  const auto* const numbers = reinterpret_cast<const OptimizerNumbers*>(numbers_.get() + sizeof(StepNumbers));
  run_updates(updated_.get(), numbers, blocks_.get(), blocks_.count(), state_.get(), stream_.get());
  for (std::size_t i = backward; i < program_.steps.size(); ++i) {
    const TrainingStep& step = program_.steps[i];
    if (step.op != TrainingOp::kUpdateStatistics) continue;
    run_update_statistics(call(step, images), norm(step, images), state_.get());
  }
}

void TrainingExecutable::enqueue_end(int64_t images) {
  FACEGEN_CUDA_CHECK(cudaMemsetAsync(state_.get(), 0, sizeof(StepState), stream_.get()));
  for (const int32_t kept : program_.kept) {
    const TrainingMap map = locate(kept, images);
    check_finite(map.data, images * map.value->floats(), &state_.get()->kept_not_finite, stream_.get());
  }
  find_state(gradients_.get(), gradient_floats_, squares_.get(), losses_.get(), loss_count_ * images,
             program_.clip_norm, state_.get(), stream_.get());
}

void TrainingExecutable::predict(const TrainingBatch& batch, const std::vector<float*>& outputs) {
  const DeviceScope scope(device_);
  reserve(batch.images);
  copy_batch(batch);
  put_numbers(batch);
  // Losses end the forward pass; what they read lives until then.
  products_.enqueue_weights(stream_.get());
  const std::size_t losses = losses_begin();
  for (std::size_t i = 0; i < losses; ++i) enqueue_step(i, batch.images);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const TrainingMap map = locate(program_.steps[losses + i].x, batch.images);
    copy_down(outputs[i], map.data, 4 * batch.images * map.value->floats(), stream_.get());
  }
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
  predicted_images_ = batch.images;
}

void TrainingExecutable::copy_gradient(std::size_t i, float* to) const {
  const DeviceScope scope(device_);
  copy_down(to, gradients_.get() + gradient_at_[i], 4 * program_.arrays[i].floats, stream_.get());
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
}

void TrainingExecutable::copy_kept(std::size_t number, float* to) const {
  const DeviceScope scope(device_);
  const TrainingMap map = locate(program_.kept[number], last_images_);
  copy_down(to, map.data, 4 * last_images_ * map.value->floats(), stream_.get());
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
}

void TrainingExecutable::download() {
  for (const auto& array : arrays_) array->download();
}

void TrainingExecutable::upload() {
  for (const auto& array : arrays_) array->upload();
}

int64_t TrainingExecutable::memory_bytes() const {
  return arena_.bytes() + gradients_.bytes() + scratch_.bytes() + products_.memory_bytes();
}

std::vector<double> TrainingExecutable::time_steps() {
  constexpr int kTimes = 5, kLaunches = 4;
  const DeviceScope scope(device_);
  const int64_t images = std::exchange(last_images_, 0);
  predicted_images_ = 0;
  std::vector<double> seconds(program_.steps.size(), 0.0);
  if (images == 0) return seconds;
  const Event first = make_event(true), last = make_event(true);
  for (std::size_t i = 0; i < std::size_t(program_.forward_steps + program_.backward_steps); ++i) {
    float best = INFINITY;
    for (int time = 0; time < kTimes; ++time) {
      FACEGEN_CUDA_CHECK(cudaEventRecord(first.get(), stream_.get()));
      for (int launch = 0; launch < kLaunches; ++launch) enqueue_step(i, images);
      FACEGEN_CUDA_CHECK(cudaEventRecord(last.get(), stream_.get()));
      FACEGEN_CUDA_CHECK(cudaEventSynchronize(last.get()));
      float milliseconds = 0.0f;
      FACEGEN_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, first.get(), last.get()));
      best = std::min(best, milliseconds / kLaunches);
    }
    seconds[i] = 1e-3 * static_cast<double>(best);
  }
  return seconds;
}

}  // namespace facegen::cuda
