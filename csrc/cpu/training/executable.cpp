#include "cpu/training/executable.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <stdexcept>
#include <utility>

#include "check_program.h"
#include "cpu/training/depthwise.h"
#include "cpu/training/finite.h"
#include "cpu/training/losses.h"
#include "cpu/training/maps.h"
#include "cpu/training/norms.h"
#include "cpu/training/products.h"
#include "cpu/training/tree.h"
#include "divide_up.h"

namespace facegen::cpu {
namespace {

constexpr int64_t kLineFloats = 16;  // of a cache line

// The arrays whose gradients a step finds as sums in double precision.
std::vector<int32_t> summed_by(const TrainingStep& step) {
  switch (step.op) {
    case TrainingOp::kBiasGradient: return {step.bias};
    case TrainingOp::kDepthwiseWeightGradient: return {step.weight};
    case TrainingOp::kPreluGradient:
      if (step.trained) return {step.slope};
      return {};
    case TrainingOp::kBatchNormGradient:
    case TrainingOp::kInstanceNormGradient:
    case TrainingOp::kLayerNormGradient:
      if (step.trained) return {step.gamma, step.beta};
      return {};
    default: return {};
  }
}

// Room for so many numbers, whose values are lost where it grows.
template <typename Number>
void reserve(AlignedArray<Number>& memory, int64_t& size, int64_t count) {
  if (count <= size) return;
  memory = {};
  size = 0;
  memory = allocate_aligned<Number>(count);
  size = count;
}

void add_doubles(const double* x, double* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] += x[i];
}

}  // namespace

TrainingExecutable::TrainingExecutable(TrainingProgram program, const Kernels& kernels)
    : program_(std::move(program)),
      kernels_(kernels),
      training_(training_kernels(kernels)),
      gemms_(program_.steps.size()),
      implementations_(program_.steps.size(), ""),
      weight_gradients_(program_.steps.size()),
      seconds_(program_.steps.size()) {
  const auto round = [](int64_t floats) { return divide_up(floats, kLineFloats) * kLineFloats; };
  gradient_at_.assign(program_.arrays.size(), -1);
  for (const TrainingStep& step : program_.steps) {
    if (step.op != TrainingOp::kUpdate) continue;
    const auto i = static_cast<std::size_t>(step.weight);
    gradient_at_[i] = gradient_floats_;
    gradient_floats_ += round(program_.arrays[i].floats);
  }
  sums_at_.assign(program_.arrays.size(), -1);
  for (const TrainingStep& step : program_.steps) {
    for (const int32_t index : summed_by(step)) {
      const auto i = static_cast<std::size_t>(index);
      sums_at_[i] = sums_doubles_;
      sums_doubles_ += program_.arrays[i].floats;
    }
  }
  int64_t statistics = 0;
  for (const int64_t floats : program_.statistics) {
    statistics_at_.push_back(statistics);
    statistics += round(floats);
  }
  gradients_ = allocate_aligned<float>(gradient_floats_);
  std::fill_n(gradients_.get(), gradient_floats_, 0.0f);
  sums_ = allocate_aligned<double>(sums_doubles_);
  statistics_floats_ = statistics;
  statistics_ = allocate_aligned<float>(statistics);
  std::fill_n(statistics_.get(), statistics, 0.0f);
  for (std::size_t i = 0; i < program_.steps.size(); ++i) {
    const TrainingStep& step = program_.steps[i];
    loss_number_.push_back(step.op == TrainingOp::kLoss ? loss_count_++ : -1);
    if (step.op == TrainingOp::kGemm) make_gemm(i);
    if (step.op == TrainingOp::kWeightGradient) make_weight_gradient(i);
  }
}

// Memory for a batch.
void TrainingExecutable::reserve_arena(int64_t images) {
  last_images_ = predicted_images_ = 0;
  if (program_.arena_floats > kMostFloats / images) throw std::bad_alloc();
  reserve(arena_, arena_size_, images * program_.arena_floats);
}

void TrainingExecutable::predict(const Batch& batch, const std::vector<float*>& outputs) {
  reserve_arena(batch.images);
  const Part part = {batch, {batch.images, 0}, {}};
  // Losses end the forward pass; what they read lives until then.
  const auto losses = static_cast<std::size_t>(program_.forward_steps - loss_count_);
  run_steps(0, losses, part, 1.0);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const cpu::Batch value = locate(program_.steps[losses + i].x, part);
    std::copy_n(value.data, batch.images * value.floats(), outputs[i]);
  }
  predicted_images_ = batch.images;
}

double TrainingExecutable::run(const Batch& batch) {
  if (batch.predicted && (predicted_images_ != batch.images || batch.part_images < batch.images)) {
    throw std::invalid_argument("there is no forward pass of this batch");
  }
  reserve_arena(std::min(batch.images, batch.part_images));
  std::fill(seconds_.begin(), seconds_.end(), 0.0);
  const int64_t parts = divide_up(batch.images, batch.part_images);
  double length = 0.0;
  if (batch.peers != nullptr) {
    length = find_shared_gradients(batch);
  } else if (parts == 1) {
    length = find_gradients(part(batch, 0));
    last_images_ = batch.images;
  } else {
    using Floats = TreeSum<float>;
    using Doubles = TreeSum<double>;
    reserve(part_gradients_, part_gradients_size_, Floats::memory_size(parts, gradient_floats_));
    reserve(part_sums_, part_sums_size_, Doubles::memory_size(parts, sums_doubles_));
    Floats gradients(part_gradients_.get(), gradient_floats_, training_.add);
    Doubles sums(part_sums_.get(), sums_doubles_, add_doubles);
    for (int64_t first = 0; first < batch.images; first += batch.part_images) {
      find_gradients(part(batch, first));
      std::copy_n(gradients_.get(), gradient_floats_, gradients.next());
      std::copy_n(sums_.get(), sums_doubles_, sums.next());
      gradients.push();
      sums.push();
    }
    std::copy_n(gradients.finish(), gradient_floats_, gradients_.get());
    std::copy_n(sums.finish(), sums_doubles_, sums_.get());
    round_sums();
    length = gradient_length(batch.threads);
  }
  if (!std::isfinite(length)) throw std::domain_error(kNoFiniteLength);
  if (batch.update) update_all(part(batch, 0), length);
  return length;
}

void TrainingExecutable::update_all(const Part& part, double length) {
  const auto longest = static_cast<double>(program_.clip_norm);
  const double scale = longest > 0.0 ? std::min(1.0, longest / (length + 1e-6)) : 1.0;
  const auto updates = static_cast<std::size_t>(program_.forward_steps + program_.backward_steps);
  run_steps(updates, program_.steps.size(), part, scale);
}

void TrainingExecutable::copy_found(float* found) const {
  std::copy_n(gradients_.get(), gradient_floats_, found);
  std::copy_n(statistics_.get(), statistics_floats_, found + gradient_floats_);
}

double TrainingExecutable::apply(const Batch& batch, const float* found) {
  last_images_ = predicted_images_ = 0;
  std::fill(seconds_.begin(), seconds_.end(), 0.0);
  std::copy_n(found, gradient_floats_, gradients_.get());
  std::copy_n(found + gradient_floats_, statistics_floats_, statistics_.get());
  const double length = gradient_length(batch.threads);
  if (!std::isfinite(length) || !all_finite(statistics_.get(), statistics_floats_)) {
    throw std::domain_error(kNoFiniteLength);
  }
  // Updates read no value of the batch: there is room for none, and no input.
  Part part = {batch, {batch.images, 0}};
  part.images = 0;
  part.inputs.assign(program_.values.size(), nullptr);
  update_all(part, length);
  return length;
}

TrainingExecutable::Part TrainingExecutable::part(const Batch& batch, int64_t first) const {
  Part part = {batch, {batch.images, first}, {}};
  part.images = std::min(batch.part_images, batch.images - first);
  for (const TrainingValue& value : program_.values) {
    if (value.kind != ValueKind::kInput) continue;
    const auto i = static_cast<std::size_t>(value.index);
    part.inputs[i] = batch.inputs[i] + first * value.floats();  // an input may be several values
  }
  return part;
}

// Forward and backward; returns the gradient's length.
double TrainingExecutable::find_gradients(const Part& part) {
  const auto forward = static_cast<std::size_t>(program_.forward_steps);
  const std::size_t backward = forward + static_cast<std::size_t>(program_.backward_steps);
  const std::size_t ends = forward - static_cast<std::size_t>(loss_count_);
  run_steps(part.predicted ? ends : 0, forward, part, 1.0);
  bool fine = true;
  for (int64_t loss = 0; loss < loss_count_; ++loss) {
    const double* const losses = part.losses + loss * part.whole.images + part.whole.first;
    for (int64_t image = 0; image < part.images; ++image) fine &= std::isfinite(losses[image]);
  }
  if (!all_agree(part.sharing, fine)) explain(part, forward, fine);
  run_steps(forward, backward, part, 1.0);
  round_sums();
  const double length = gradient_length(part.threads);
  fine = std::isfinite(length);
  for (const int32_t kept : program_.kept) {
    const cpu::Batch value = locate(kept, part);
    fine &= all_finite(value.data, part.images * value.floats());
  }
  if (!all_agree(part.sharing, fine)) explain(part, backward, fine);
  return length;
}

// Whether all is fine with every rank: no other would answer one that has stopped.
bool TrainingExecutable::all_agree(const Sharing& sharing, bool fine) const {
  double wrong = fine ? 0.0 : 1.0;
  sharing.add_up_for_all(&wrong, 1);
  return wrong == 0.0;
}

double TrainingExecutable::find_shared_gradients(const Batch& batch) {
  const Peers& peers = *batch.peers;
  const Sharing sharing = {&peers, static_cast<int>(divide_up(batch.images, batch.part_images))};
  const int64_t first = peers.rank * batch.part_images;
  if (peers.rank < sharing.active) {
    Part own = part(batch, first);
    own.sharing = sharing;
    find_gradients(own);
    last_images_ = own.images;
  } else if (!all_agree(sharing, true) || !all_agree(sharing, true)) {
    throw std::domain_error(kElsewhere);
  }
  sharing.add_up_for_all(gradients_.get(), gradient_floats_);
  sharing.add_up_for_all(sums_.get(), sums_doubles_);
  // What a batch norm moves its stored statistics towards.
  peers.tell_idle(sharing.active, statistics_.get(), statistics_floats_);
  round_sums();
  return gradient_length(batch.threads);
}

// Gradients that are sums in double precision become float32 when they are whole.
void TrainingExecutable::round_sums() {
  for (std::size_t i = 0; i < sums_at_.size(); ++i) {
    if (sums_at_[i] < 0 || gradient_at_[i] < 0) continue;
    const double* const sums = sums_.get() + sums_at_[i];
    std::transform(sums, sums + program_.arrays[i].floats, gradients_.get() + gradient_at_[i],
                   [](double sum) { return static_cast<float>(sum); });
  }
}

void TrainingExecutable::run_steps(std::size_t first, std::size_t last, const Part& part,
                                   double gradient_scale) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point before = Clock::now();
  for (std::size_t i = first; i < last; ++i) {
    if (program_.steps[i].op == TrainingOp::kUpdate) {
      update(program_.steps[i], part, gradient_scale);
    } else {
      run_step(i, part);
    }
    const Clock::time_point now = Clock::now();
    seconds_[i] += std::chrono::duration<double>(now - before).count();
    before = now;
  }
}

cpu::Batch TrainingExecutable::locate(int32_t index, const Batch& batch) const {
  if (index < 0) return {};
  const TrainingValue& value = program_.values[static_cast<std::size_t>(index)];
  switch (value.kind) {
    // Inputs are only ever read: no step writes to one.
    case ValueKind::kInput:
      return {const_cast<float*>(batch.inputs[static_cast<std::size_t>(value.index)]), &value};
    case ValueKind::kTarget: return {nullptr, &value};
    case ValueKind::kArena: break;
  }
  return {arena_.get() + batch.images * value.offset, &value};
}

TrainingStepCall TrainingExecutable::call(const TrainingStep& step, const Part& part) const {
  return {step,
          kernels_,
          training_,
          part.images,
          part.threads,
          locate(step.x, part),
          locate(step.other, part),
          locate(step.y, part),
          locate(step.dy, part),
          locate(step.dx, part),
          part.whole,
          part.sharing};
}

void TrainingExecutable::run_step(std::size_t i, const Part& part) {
  const TrainingStep& step = program_.steps[i];
  const TrainingStepCall call = this->call(step, part);
  const auto norm = [&] {
    const auto some = [&](int32_t index) { return index < 0 ? nullptr : array(index); };
    const auto gradient = [&](int32_t index) {
      return index < 0 || sums_at_[static_cast<std::size_t>(index)] < 0 ? nullptr : sums_of(index);
    };
    const bool of_batch = step.op == TrainingOp::kBatchNorm ||
                          step.op == TrainingOp::kBatchNormGradient ||
                          step.op == TrainingOp::kUpdateStatistics;
    float* const statistics =
        of_batch ? statistics_.get() + statistics_at_[static_cast<std::size_t>(step.statistics)]
                 : locate(step.statistics, part).data;
    return NormArrays{some(step.gamma), some(step.beta), some(step.mean), some(step.var),
                      statistics, gradient(step.gamma), gradient(step.beta)};
  };
  switch (step.op) {
    case TrainingOp::kGemm: {
      gemms_[i]->pack(weights(step), part.threads);
      const auto [in, out] = channels_of(step);
      const Images to = {call.y.data + out.first, call.y.floats()};
      gemms_[i]->run(part.images, {call.x.data + in.first, call.x.floats()}, to,
                     step.accumulate ? to : Images{}, part.threads);
      break;
    }
    case TrainingOp::kWeightGradient: weight_gradient(i, call); break;
    case TrainingOp::kDepthwise:
      depthwise(call, array(step.weight), step.bias < 0 ? nullptr : array(step.bias));
      break;
    case TrainingOp::kDepthwiseGradient: depthwise_gradient(call, array(step.weight)); break;
    case TrainingOp::kDepthwiseWeightGradient:
      depthwise_weight_gradient(call, sums_of(step.weight));
      break;
    case TrainingOp::kBiasGradient: bias_gradient(call, sums_of(step.bias)); break;
    case TrainingOp::kActivate: activate(call); break;
    case TrainingOp::kActivateGradient: activate_gradient(call); break;
    case TrainingOp::kPrelu: prelu(call, array(step.slope)); break;
    case TrainingOp::kPreluGradient:
      prelu_gradient(call, array(step.slope), step.trained ? sums_of(step.slope) : nullptr);
      break;
    case TrainingOp::kMultiply: multiply(call); break;
    case TrainingOp::kMultiplySum: multiply_sum(call); break;
    case TrainingOp::kSoftmax: softmax(call); break;
    case TrainingOp::kSoftmaxGradient: softmax_gradient(call); break;
    case TrainingOp::kShuffle: shuffle(call); break;
    case TrainingOp::kRearrange: rearrange(call); break;
    case TrainingOp::kMaxPool: max_pool(call); break;
    case TrainingOp::kMaxPoolGradient: max_pool_gradient(call); break;
    case TrainingOp::kGlobalAvgPool: global_avg_pool(call); break;
    case TrainingOp::kGlobalAvgPoolGradient: global_avg_pool_gradient(call); break;
    case TrainingOp::kBatchNorm: batch_norm(call, norm()); break;
    case TrainingOp::kBatchNormGradient: batch_norm_gradient(call, norm()); break;
    case TrainingOp::kInstanceNorm: instance_norm(call, norm()); break;
    case TrainingOp::kInstanceNormGradient: instance_norm_gradient(call, norm()); break;
    case TrainingOp::kLayerNorm: layer_norm(call, norm()); break;
    case TrainingOp::kLayerNormGradient: layer_norm_gradient(call, norm()); break;
    case TrainingOp::kCopy: copy(call); break;
    case TrainingOp::kResample: resample(call); break;
    case TrainingOp::kResampleGradient: resample_gradient(call); break;
    case TrainingOp::kDropout: dropout(call, part.seed, part.step); break;
    case TrainingOp::kLoss:
      find_loss(call, step.y < 0 ? nullptr : part.targets[std::size_t(call.y.value->index)],
                part.losses + loss_number_[i] * part.whole.images);
      break;
    case TrainingOp::kUpdateStatistics: update_statistics(call, norm()); break;
    case TrainingOp::kUpdate: break;  // see update
  }
}

}  // namespace facegen::cpu
