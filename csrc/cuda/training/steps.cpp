// Which kernel does a step of a training program, and on what.
#include "cuda/training/executable.h"

namespace facegen::cuda {

TrainingMap TrainingExecutable::locate(int32_t index, const Part& part) const {
  if (index < 0) return {};
  const TrainingValue& value = program_.values[static_cast<std::size_t>(index)];
  const auto i = static_cast<std::size_t>(value.index);
  switch (value.kind) {
    // The whole batch's are there.
    case ValueKind::kInput: return {inputs_[i].get() + part.first * value.floats(), &value};
    case ValueKind::kTarget: return {targets_[i].get() + part.first * value.floats(), &value};
    case ValueKind::kArena: break;
  }
  return {arena_.get() + part.images * (part.place * program_.arena_floats + value.offset), &value};
}

TrainingCall TrainingExecutable::call(const TrainingStep& s, const Part& part) const {
  return {s,
          part.images,
          locate(s.x, part),
          locate(s.other, part),
          locate(s.y, part),
          locate(s.dy, part),
          locate(s.dx, part),
          scratch_.get(),
          arrivals_.get(),
          reinterpret_cast<const StepNumbers*>(numbers_.get()),
          stream_.get(),
          part};
}

NormMemory TrainingExecutable::norm(const TrainingStep& s, const Part& part) const {
  const auto some = [&](int32_t index) { return index < 0 ? nullptr : array(index); };
  const bool of_batch = s.op == TrainingOp::kBatchNorm || s.op == TrainingOp::kBatchNormGradient ||
                        s.op == TrainingOp::kUpdateStatistics;
  const bool trained = s.trained && (s.op == TrainingOp::kBatchNormGradient ||
                                     s.op == TrainingOp::kInstanceNormGradient ||
                                     s.op == TrainingOp::kLayerNormGradient);
  float* const statistics =
      of_batch ? statistics_.get() + statistics_at_[static_cast<std::size_t>(s.statistics)]
               : locate(s.statistics, part).data;
  return {some(s.gamma), some(s.beta), some(s.mean), some(s.var), statistics,
          trained ? gradient_of(s.gamma, part.place) : nullptr,
          trained ? gradient_of(s.beta, part.place) : nullptr};
}

void TrainingExecutable::enqueue_step(std::size_t i, const Part& part) {
  const TrainingStep& s = program_.steps[i];
  products_.choose_place(part.place);
  TrainingCall c = call(s, part);
  if (products_.is_done(i, part.images)) return;
  c.operand = products_.operand_target(i, part.images);
  c.gate = products_.gate_of(i, part.images);
  if (c.gate != nullptr) {  // the step writes what the gate would
    c.gate_map = locate(c.gate->y, part);
    c.y = locate(c.gate->dx, part);
  }
  const TrainingStep* const sum = products_.sum_of(i, part.images);
  if (sum != nullptr) c.bias_gradient = gradient_of(sum->bias, part.place);
  switch (s.op) {
    case TrainingOp::kGemm: {
      const float* const bias = s.bias < 0 ? nullptr : array(s.bias);
      if (products_.enqueue(i, c, bias, nullptr)) return;
      return run_gemm(c, groups_of(s, program_), array(s.weight), bias);
    }
    case TrainingOp::kWeightGradient: {
      float* const gradient = gradient_of(s.weight, part.place);
      if (products_.enqueue(i, c, nullptr, gradient)) return;
      return run_weight_gradient(c, groups_of(s, program_), gradient);
    }
    case TrainingOp::kDepthwise:
      return run_depthwise(c, array(s.weight), s.bias < 0 ? nullptr : array(s.bias));
    case TrainingOp::kDepthwiseGradient: return run_depthwise_gradient(c, array(s.weight));
    case TrainingOp::kDepthwiseWeightGradient:
      return run_depthwise_weight_gradient(c, gradient_of(s.weight, part.place));
    case TrainingOp::kBiasGradient: return run_bias_gradient(c, gradient_of(s.bias, part.place));
    case TrainingOp::kActivate: return run_activate(c);
    case TrainingOp::kActivateGradient: return run_activate_gradient(c);
    case TrainingOp::kPrelu: return run_prelu(c, array(s.slope));
    case TrainingOp::kPreluGradient:
      return run_prelu_gradient(c, array(s.slope), s.trained ? gradient_of(s.slope, part.place) : nullptr);
    case TrainingOp::kMultiply: return run_multiply(c);
    case TrainingOp::kMultiplySum: return run_multiply_sum(c);
    case TrainingOp::kSoftmax: return run_softmax(c);
    case TrainingOp::kSoftmaxGradient: return run_softmax_gradient(c);
    case TrainingOp::kShuffle: return run_shuffle(c);
    case TrainingOp::kRearrange: return run_rearrange(c);
    case TrainingOp::kMaxPool: return run_max_pool(c);
    case TrainingOp::kMaxPoolGradient: return run_max_pool_gradient(c);
    case TrainingOp::kGlobalAvgPool: return run_global_avg_pool(c);
    case TrainingOp::kGlobalAvgPoolGradient: return run_global_avg_pool_gradient(c);
    case TrainingOp::kBatchNorm: return run_batch_norm(c, norm(s, part));
    case TrainingOp::kBatchNormGradient: return run_batch_norm_gradient(c, norm(s, part), norm_shares_.get());
    case TrainingOp::kInstanceNorm: return run_instance_norm(c, norm(s, part));
    case TrainingOp::kInstanceNormGradient: return run_instance_norm_gradient(c, norm(s, part));
    case TrainingOp::kLayerNorm: return run_layer_norm(c, norm(s, part));
    case TrainingOp::kLayerNormGradient: return run_layer_norm_gradient(c, norm(s, part));
    case TrainingOp::kCopy: return run_copy(c);
    case TrainingOp::kResample:
    case TrainingOp::kResampleGradient: {
      const auto& [rows, columns] = taps_.at(i);
      return run_resample(c, rows, columns);
    }
    case TrainingOp::kDropout: return run_dropout(c);
    case TrainingOp::kLoss:
      return run_loss(c, c.y.data, losses_.get() + loss_number_[i] * part.whole);
    case TrainingOp::kUpdateStatistics:
    case TrainingOp::kUpdate: return;  // see enqueue
  }
}

void TrainingExecutable::enqueue_aside(std::size_t i, const Part& part) {
  const TrainingStep& s = program_.steps[i];
  TrainingCall c = call(s, part);
  c.stream = aside_.stream();
  c.scratch = aside_scratch_.get();
  c.arrivals = aside_arrivals_.get();
  aside_.begin(stream_.get());
  if (s.op == TrainingOp::kBiasGradient) {
    run_bias_gradient(c, gradient_of(s.bias, part.place));
  } else {
    run_weight_gradient(c, groups_of(s, program_), gradient_of(s.weight, part.place));
  }
  aside_.end(i);
}

std::vector<std::string> TrainingExecutable::kernel_names() const {
  std::vector<std::string> names(program_.steps.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const TrainingOp op = program_.steps[i].op;
    if (op != TrainingOp::kGemm && op != TrainingOp::kWeightGradient) continue;
    names[i] = products_.does(i, last_part_images_) ? products_.name() : "mma bf16x3";
  }
  return names;
}

}  // namespace facegen::cuda
