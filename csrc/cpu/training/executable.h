// A TrainingProgram made ready for the CPU: run() is one step of training on a batch.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "cpu/memory.h"
#include "cpu/training/call.h"
#include "cpu/training/weight_gradient.h"
#include "training_batch.h"
#include "training_program.h"

namespace facegen::cpu {

// The channels of a layer's inputs or outputs that a part of its groups has.
struct ChannelRange {
  int32_t first, count;
};
inline ChannelRange inputs_of(const GroupPart& part, const TrainingValue& value) {
  if (part.groups == 0) return {0, value.c};
  return {part.first_in, part.in_channels};
}
inline ChannelRange outputs_of(const GroupPart& part, const TrainingValue& value) {
  if (part.groups == 0) return {0, value.c};
  return {part.first_out, part.out_channels};
}

// What ranks say that stop with one where a number is not finite.
constexpr const char* kElsewhere = "a number is not finite in the part of another rank";
constexpr const char* kNoFiniteLength = "the sum of the gradient's squares is not finite";

class TrainingExecutable {
 public:
  // The program's arrays (parameters and what is kept beside them) must outlive it, at their places;
  // run() changes them.
  TrainingExecutable(TrainingProgram program, const Kernels& kernels);

  struct Batch : TrainingBatch {
    // Each computes the part of its rank, and all get the gradients of the batch, but losses of their
    // part alone.
    const Peers* peers = nullptr;
  };
  // Returns the length of the gradient. Throws std::domain_error, which names the step, where a
  // number is not finite: then nothing has been updated.
  double run(const Batch& batch);

  // The forward pass alone, of the batch's images and inputs; changes nothing. `outputs`, by losses,
  // get what each is of: (images, height, width, channels).
  void predict(const Batch& batch, const std::vector<float*>& outputs);

  // What the last run found in its batch, as apply() takes it: all gradients, and the statistics that
  // batch norms move theirs towards.
  int64_t found_floats() const { return gradient_floats_ + statistics_floats_; }
  void copy_found(float* found) const;
  // The update of a run that found this, maybe that of another process: of the batch, the number of
  // images, rates, step and threads count. Returns and throws as run() does.
  double apply(const Batch& batch, const float* found);

  // The last run's, of the array of this number; null where it is not trained.
  const float* gradient(std::size_t array) const {
    return gradient_at_[array] < 0 ? nullptr : gradients_.get() + gradient_at_[array];
  }
  // The last run's value that is kept, of this number: (images, height, width, channels). None is left
  // of a batch in parts.
  const float* kept(std::size_t number) const {
    const auto value = static_cast<std::size_t>(program_.kept[number]);
    return arena_.get() + last_images_ * program_.values[value].offset;
  }
  int64_t last_images() const { return last_images_; }
  int64_t loss_count() const { return loss_count_; }
  const TrainingProgram& program() const { return program_; }
  const Kernels& kernels() const { return kernels_; }
  // Which implementation runs a step: "winograd"; empty for what is no Gemm.
  const char* implementation(std::size_t step) const { return implementations_[step]; }
  // What each step of the last run took, for all parts.
  const std::vector<double>& seconds() const { return seconds_; }
  // Of the arena for the largest part so far, and of gradients.
  int64_t memory_bytes() const { return 4 * (arena_size_ + gradient_floats_ + part_gradients_size_); }

 private:
  void make_gemm(std::size_t step);
  void make_weight_gradient(std::size_t step);
  void reserve_arena(int64_t images);
  std::pair<ChannelRange, ChannelRange> channels_of(const TrainingStep& gemm) const;
  Weights weights(const TrainingStep& step) const;
  void weight_gradient(std::size_t step, const TrainingStepCall& call);
  // Some images of a batch: `images` and `inputs` are theirs, targets and losses the batch's.
  struct Part : Batch {
    WholeBatch whole;
    Sharing sharing = {};
  };
  Part part(const Batch& batch, int64_t first) const;
  double find_gradients(const Part& part);
  double find_shared_gradients(const Batch& batch);
  bool all_agree(const Sharing& sharing, bool fine) const;
  void update_all(const Part& part, double length);
  void round_sums();
  void run_steps(std::size_t first, std::size_t last, const Part& part, double gradient_scale);
  void run_step(std::size_t step, const Part& part);
  void update(const TrainingStep& step, const Batch& batch, double gradient_scale);
  double gradient_length(int threads) const;
  [[noreturn]] void explain(Part part, std::size_t steps, bool fine);
  TrainingStepCall call(const TrainingStep& step, const Part& part) const;
  cpu::Batch locate(int32_t value, const Batch& batch) const;
  float* array(int32_t index) const { return program_.arrays[static_cast<std::size_t>(index)].data; }
  float* gradient_of(int32_t index) const {
    return gradients_.get() + gradient_at_[static_cast<std::size_t>(index)];
  }
  double* sums_of(int32_t index) const {
    return sums_.get() + sums_at_[static_cast<std::size_t>(index)];
  }

  TrainingProgram program_;
  const Kernels& kernels_;
  const TrainingKernels& training_;
  std::vector<std::unique_ptr<Gemm>> gemms_;  // by step; null for other ops
  std::vector<const char*> implementations_;
  std::vector<std::unique_ptr<WeightGradient>> weight_gradients_;
  std::vector<int64_t> gradient_at_;    // by array: floats from the start, -1: not trained
  std::vector<int64_t> sums_at_;        // likewise, of gradients that are sums in double precision
  std::vector<int64_t> statistics_at_;  // by array of the batch
  int64_t statistics_floats_ = 0;
  int64_t gradient_floats_ = 0, sums_doubles_ = 0;
  AlignedArray<float> gradients_, statistics_, arena_, part_gradients_;
  AlignedArray<double> sums_, part_sums_;
  int64_t arena_size_ = 0, part_gradients_size_ = 0, part_sums_size_ = 0;
  int64_t predicted_images_ = 0;  // of a forward pass whose values are still there
  int64_t last_images_ = 0;  // of the last batch, if it was computed at once; of ranks this one's
  std::vector<int64_t> loss_number_;  // by step
  int64_t loss_count_ = 0;
  std::vector<double> seconds_;
};

}  // namespace facegen::cpu
