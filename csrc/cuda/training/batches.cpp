// How a batch, or a data set, comes to the GPU.
#include <stdexcept>
#include <string>

#include "cuda/runtime/device.h"
#include "cuda/training/copies.h"
#include "cuda/training/executable.h"
#include "cuda/training/settled.h"

namespace facegen::cuda {

// Arrays of other libraries are read behind the work that makes them, and in front of what their stream does from
// then on.
void TrainingExecutable::take(const Source& source, int64_t floats, SourceRule rule, int64_t classes, float* to,
                              cudaStream_t stream) {
  const bool checked = source.on_device && rule != SourceRule::kNumbers;
  if (checked) {
    FACEGEN_CUDA_CHECK(cudaMemsetAsync(place_.get(), 0xff, sizeof(unsigned long long), stream));
  }
  intake_.take(source, floats, rule, classes, to, place_.get(), stream);
  if (!checked) return;
  const int64_t place = read_place(source.images * floats, stream);
  if (place < 0) return;
  const std::string expected = rule == SourceRule::kShares
                                   ? "0 or more"
                                   : "0 to " + std::to_string(classes - 1) + ", or below 0 for no class";
  throw std::invalid_argument(source.name + ": expected " + expected + ", found another in image " +
                              std::to_string(place / floats));
}

// Of images from `begin` on and before `end`, where `to` has the whole batch.
void TrainingExecutable::take_inputs(const std::vector<Pieces>& inputs, int64_t begin, int64_t end,
                                     const DeviceMemory<float>* to, cudaStream_t stream) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    for (const Source& piece : inputs[i]) {
      const Source some = piece.within(begin, end, input_floats_[i]);
      if (some.images > 0) take(some, input_floats_[i], SourceRule::kNumbers, 0, to[i].get(), stream);
    }
  }
}

void TrainingExecutable::take_targets(const std::vector<Pieces>& targets, const DeviceMemory<float>* to,
                                      cudaStream_t stream) {
  for (std::size_t i = losses_begin(); i < static_cast<std::size_t>(program_.forward_steps); ++i) {
    const TrainingStep& loss = program_.steps[i];
    if (loss.y < 0) continue;
    const auto target = static_cast<std::size_t>(program_.values[std::size_t(loss.y)].index);
    const SourceRule rule = takes_labels(loss)                          ? SourceRule::kLabels
                            : loss.loss == LossKind::kSoftCrossEntropy ? SourceRule::kShares
                                                                       : SourceRule::kNumbers;
    const int64_t classes = program_.values[std::size_t(loss.x)].c;
    for (const Source& piece : targets[target]) {
      take(piece, target_floats_[target], rule, classes, to[target].get(), stream);
    }
  }
}

// The batch of a step; of inputs those images that this rank needs.
void TrainingExecutable::take_batch(const Steps& steps, const DeviceMemory<float>* inputs,
                                    const DeviceMemory<float>* targets, cudaStream_t stream) {
  const OwnShares own = sharing_.own(steps.images);
  take_inputs(steps.inputs, own.first, own.first + own.own_images(), inputs, stream);
  take_targets(steps.targets, targets, stream);
}

std::shared_ptr<const HeldArrays> TrainingExecutable::hold(int64_t images, const std::vector<Pieces>& inputs,
                                                           const std::vector<Pieces>& targets) {
  const DeviceScope scope(device_);
  auto held = std::make_shared<HeldArrays>();
  held->device = device_;
  held->images = images;
  int64_t bytes = 0;
  for (const auto* sizes : {&input_floats_, &target_floats_}) {
    for (const int64_t floats : *sizes) {
      held->floats.push_back(floats);
      bytes += 4 * images * floats;
    }
  }
  const Settled settled = {[this] { settle(); }};  // before the arrays are freed
  require_free(bytes);
  for (const int64_t floats : held->floats) {
    held->arrays.push_back(allocate_device<float>(images * floats));
  }
  take_inputs(inputs, 0, images, held->arrays.data(), stream_.get());
  take_targets(targets, held->arrays.data() + inputs.size(), stream_.get());
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
  return held;
}

bool TrainingExecutable::takes(const HeldArrays& held) const {
  std::vector<int64_t> floats = input_floats_;
  floats.insert(floats.end(), target_floats_.begin(), target_floats_.end());
  return held.device == device_ && held.floats == floats;
}

}  // namespace facegen::cuda
