// A TrainingProgram made ready for one GPU: run() is one step of training on a batch.
//
// Parameters, moments, gradients and all values stay on the GPU. A step copies the batch up, launches one
// graph (what it launches is recorded once a batch size, and reads the numbers that change, such as
// rates, from memory), and copies losses and the gradient's length down.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda/runtime/memory.h"
#include "cuda/training/arrays.h"
#include "cuda/training/call.h"
#include "cuda/training/products.h"
#include "cuda/training/update.h"
#include "training_batch.h"
#include "training_program.h"

namespace facegen::cuda {

class TrainingExecutable {
 public:
  // The program's arrays on the host must outlive it. Throws std::invalid_argument for a program with an
  // op that no kernel does.
  TrainingExecutable(TrainingProgram program, int device, ProductKernels kernels = ProductKernels::kAuto);
  ~TrainingExecutable();

  // As cpu::TrainingExecutable::run, but for parts: all images at once.
  double run(const TrainingBatch& batch);
  void predict(const TrainingBatch& batch, const std::vector<float*>& outputs);

  bool has_gradient(std::size_t array) const { return gradient_at_[array] >= 0; }
  void copy_gradient(std::size_t array, float* to) const;
  void copy_kept(std::size_t number, float* to) const;
  int64_t last_images() const { return last_images_; }
  int64_t loss_count() const { return loss_count_; }

  // The host's arrays become what the steps have made of them ...
  void download();
  // ... or the other way round.
  void upload();
  int64_t memory_bytes() const;
  // What each step takes on the last batch, launched alone, the best of several; 0 of what updates. Values
  // and gradients of that batch are lost.
  std::vector<double> time_steps();
  // What computes each step's product on the last batch; empty for other steps.
  std::vector<std::string> kernel_names() const;

 private:
  void plan_updates();
  void reserve(int64_t images);
  std::size_t losses_begin() const {
    return static_cast<std::size_t>(program_.forward_steps - loss_count_);
  }
  void reserve_values(int64_t images);
  void copy_batch(const TrainingBatch& batch);
  void put_numbers(const TrainingBatch& batch);
  // A batch, as the graph that is recorded of it depends on it.
  struct Kind {
    int64_t images;
    bool update, predicted;
    bool operator<(const Kind& other) const {
      return std::tie(images, update, predicted) <
             std::tie(other.images, other.update, other.predicted);
    }
  };
  void enqueue(const Kind& kind);
  void launch(const Kind& kind);
  void enqueue_step(std::size_t step, int64_t images);
  void enqueue_end(int64_t images);
  TrainingMap locate(int32_t value, int64_t images) const;
  TrainingCall call(const TrainingStep& step, int64_t images) const;
  NormMemory norm(const TrainingStep& step, int64_t images) const;
  int64_t first_not_finite(const float* numbers, int64_t count);
  [[noreturn]] void explain(int64_t images);
  float* array(int32_t index) const { return arrays_[static_cast<std::size_t>(index)]->get(); }
  float* gradient_of(int32_t index) const {
    return gradients_.get() + gradient_at_[static_cast<std::size_t>(index)];
  }

  TrainingProgram program_;
  int device_;
  std::vector<std::shared_ptr<SharedArray>> arrays_;
  std::vector<int64_t> gradient_at_;    // by array: floats from the start, -1: not trained
  std::vector<int64_t> statistics_at_;  // by array of the batch
  std::vector<int64_t> loss_number_;    // by step
  int64_t gradient_floats_ = 0, loss_count_ = 0;
  DeviceMemory<float> gradients_, statistics_, arena_;
  std::vector<DeviceMemory<float>> inputs_, targets_;  // labels are int32
  std::vector<int64_t> input_floats_, target_floats_;  // of an image
  DeviceMemory<char> scratch_;
  Products products_;
  DeviceMemory<double> losses_, squares_;
  DeviceMemory<StepState> state_;
  DeviceMemory<unsigned long long> place_;
  DeviceMemory<char> numbers_;        // StepNumbers, then an OptimizerNumbers an updated array
  PinnedMemory<char> host_numbers_;
  PinnedMemory<StepState> host_state_;
  PinnedMemory<double> host_losses_;
  std::vector<const TrainingStep*> updates_;
  DeviceMemory<UpdatedArray> updated_;
  DeviceMemory<UpdateBlock> blocks_;
  // Tables of resampling steps, by step: rows and columns.
  std::map<std::size_t, std::pair<DeviceTaps, DeviceTaps>> taps_;
  std::vector<DeviceMemory<int32_t>> tap_places_;
  std::vector<DeviceMemory<float>> tap_weights_;
  int64_t capacity_ = 0;     // images
  int64_t last_images_ = 0;  // of the last batch
  int64_t predicted_images_ = 0;  // of a forward pass whose values are still there
  Stream stream_;
  std::map<Kind, GraphExec> graphs_;  // null: such a batch came once
};

}  // namespace facegen::cuda
