#include "cuda/training/executable.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "cuda/runtime/device.h"
#include "cuda/training/copies.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

constexpr int64_t kLineFloats = 64;       // arrays begin at multiples of 256 bytes

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

TrainingExecutable::TrainingExecutable(TrainingProgram program, int device, ProductKernels kernels,
                                       ProductPrecision precision, Sharing sharing, int threads)
    : program_(std::move(program)), device_(device), sharing_(std::move(sharing)), intake_(threads) {
  find_device(device);  // throws where there is none
  const DeviceScope scope(device_);
  stream_ = make_stream();
  for (const TrainingArray& array : program_.arrays) {
    arrays_.push_back(share_array(device_, array.data, array.floats));
  }
  std::vector<float*> parameters;
  for (const auto& array : arrays_) parameters.push_back(array->get());
  aside_ = Aside(program_);
  products_ = Products(program_, parameters, device_, kernels, precision);
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
  const int32_t places = std::max(1, sharing_.shares / sharing_.ranks());
  gradients_ = zeros<float>(places * gradient_floats_);
  statistics_ = zeros<float>(statistics);
  squares_ = allocate_device<double>(divide_up(gradient_floats_, kUpdateNumbers));
  state_ = zeros<StepState>(1);
  arrivals_ = zeros<uint32_t>(kArrivals);
  aside_arrivals_ = zeros<uint32_t>(kArrivals);
  place_ = allocate_device<unsigned long long>(1);
  stopped_ = zeros<int32_t>(1);
  kept_not_finite_ = zeros<int32_t>(sharing_.ranks());
  used_ = std::make_shared<Event>(make_event());
  for (const TrainingValue& value : program_.values) {
    if (value.kind == ValueKind::kArena) continue;
    auto& floats = value.kind == ValueKind::kInput ? input_floats_ : target_floats_;
    const auto i = static_cast<std::size_t>(value.index);
    if (floats.size() <= i) floats.resize(i + 1);
    floats[i] = value.floats();
  }
  inputs_.resize(input_floats_.size());
  targets_.resize(target_floats_.size());
  plan_taps();
  plan_updates();
  plan_shares();
}

void TrainingExecutable::plan_taps() {
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
}

TrainingExecutable::~TrainingExecutable() {
  settle();  // steps that were begun, or what one that has failed has left
}

void TrainingExecutable::copy_gradient(std::size_t i, float* to) const {
  const DeviceScope scope(device_);
  copy_out(to, gradients_.get() + gradient_at_[i], 4 * program_.arrays[i].floats, stream_.get());
}

void TrainingExecutable::wait() const {
  const DeviceScope scope(device_);
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
}

void TrainingExecutable::download() {
  for (const auto& array : arrays_) array->download();
}

void TrainingExecutable::upload() {
  for (const auto& array : arrays_) array->upload();
}

int64_t TrainingExecutable::memory_bytes() const {
  return arena_.bytes() + gradients_.bytes() + sum_.bytes() + kept_.bytes() + scratch_.bytes() +
         aside_scratch_.bytes() + products_.memory_bytes();
}

std::vector<double> TrainingExecutable::time_steps() {
  constexpr int kTimes = 5, kLaunches = 4;
  const DeviceScope scope(device_);
  const int64_t batch = std::exchange(last_images_, 0);
  predicted_images_ = 0;
  std::vector<double> seconds(program_.steps.size(), 0.0);
  if (batch == 0) return seconds;
  follow_arrays();
  const OwnShares own = sharing_.own(batch);
  const Event first = make_event(true), last = make_event(true);
  for (std::size_t i = 0; i < std::size_t(program_.forward_steps + program_.backward_steps); ++i) {
    float best = INFINITY;
    for (int time = 0; time < kTimes; ++time) {
      FACEGEN_CUDA_CHECK(cudaEventRecord(first.get(), stream_.get()));
      for (int launch = 0; launch < kLaunches; ++launch) enqueue_step(i, whole(own.images));
      FACEGEN_CUDA_CHECK(cudaEventRecord(last.get(), stream_.get()));
      FACEGEN_CUDA_CHECK(cudaEventSynchronize(last.get()));
      float milliseconds = 0.0f;
      FACEGEN_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, first.get(), last.get()));
      best = std::min(best, milliseconds / kLaunches);
    }
    seconds[i] = 1e-3 * own.count * static_cast<double>(best);
  }
  return seconds;
}

}  // namespace facegen::cuda
