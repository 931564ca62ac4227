// The products of a training program that Hopper's kernel does, as cuda/fit/operand_plan.h has planned them.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <vector>

#include "cuda/fit/operand_plan.h"
#include "cuda/runtime/memory.h"
#include "cuda/training/call.h"
#include "cuda/training/operands.h"

namespace facegen::cuda {

enum class ProductKernels {
  kAuto,     // Hopper's where they are faster
  kGeneric,
  kHopper,   // wherever they do a step
};

// What products are of; Hopper's alone have others than float32's.
enum class ProductPrecision { kFloat32, kBfloat16, kFloat16 };

class Products {
 public:
  Products() = default;
  // Reads the program, which outlives it; a copy of parameter i is at arrays[i].
  Products(const TrainingProgram& program, const std::vector<float*>& arrays, int device,
           ProductKernels kernels, ProductPrecision precision);

  // What so many batches side by side take, unless it is there: then 0.
  int64_t missing_bytes(int64_t images, int32_t places);
  void reserve(int64_t images, int32_t places);
  // Which of them enqueue() is of from now on.
  void choose_place(int32_t place) { place_ = place; }
  int64_t scratch_bytes(int64_t images);
  int64_t memory_bytes() const { return maps_.bytes() + weights_.bytes(); }
  // Gives back what batches take.
  void release() { maps_ = {}, largest_ = {}; }

  // Makes operands of the weights that the products of so many images read: batches that there is memory for.
  void enqueue_weights(int64_t images, cudaStream_t stream) const;
  const char* name() const;  // of their kernel
  // Where a step's output goes besides: its kernel makes a map that is read later.
  OperandTarget operand_target(std::size_t step, int64_t images) const;
  // Whether another step does this one on the way; and which this one does so: the gradient of a ramp, and that of
  // a bias. Null: none.
  bool is_done(std::size_t step, int64_t images) const;
  const TrainingStep* gate_of(std::size_t step, int64_t images) const;
  const TrainingStep* sum_of(std::size_t step, int64_t images) const;
  // From now on all steps write their values, or those that are read alone.
  void write_all(bool all) { writes_all_ = all; }
  // Enqueues a step's product, unless the generic kernel has to. `target`: of the weight's gradient.
  bool enqueue(std::size_t step, const TrainingCall& call, const float* bias, float* target) const;
  bool does(std::size_t step, int64_t images) const;

 private:
  using OperandMap = hopper::OperandMap;
  struct Batch {
    hopper::OperandPlan plan;
    DeviceMemory<OperandBlock> weight_blocks;  // of the weights that it reads
  };

  const hopper::OperandPlan* plan_of(int64_t images) const;  // null: there was no such batch
  int64_t map_elements(int64_t images, int32_t places);
  int64_t largest_count(int32_t places) const;
  OperandTarget target_of(const OperandMap& map, int64_t images) const;
  const Batch& batch(int64_t images);
  const OperandMap& make_map(const OperandMap& map, std::size_t step, const TrainingCall& call,
                           const TrainingMap& from) const;
  CUtensorMap see_map(const OperandMap& map, int64_t images, hopper::Box box, int step_y, int step_x) const;
  CUtensorMap see_weight(const hopper::ProductStep& product, const hopper::ProductPlan& plan) const;
  void scatter(const hopper::ProductStep& product, const TrainingCall& call, const hopper::ProductPlan& plan,
               const float* bias) const;
  void finish_phases(const hopper::ProductStep& product, const TrainingCall& call, const hopper::ProductPlan& plan,
                     const float* bias) const;
  uint16_t* place(const OperandMap& map, int64_t images) const {
    return maps_.get() + images * (place_ * batches_.at(images).plan.elements + map.offset);
  }
  bool is_scaled(const OperandMap& map) const {
    return format_ == hopper::OperandFormat::kFloat16 && map.is_gradient;
  }
  // Of a map that is scaled.
  float* largest(const OperandMap& map) const {
    return largest_.get() + place_ * program_->values.size() + static_cast<std::size_t>(map.value);
  }

  const TrainingProgram* program_ = nullptr;
  bool on_ = false, always_ = false, writes_all_ = false;
  hopper::OperandFormat format_ = hopper::OperandFormat::kSplit;
  int multiprocessors_ = 0;
  int32_t place_ = 0;
  hopper::ProductSteps products_;
  std::map<int64_t, Batch> batches_;
  DeviceMemory<uint16_t> maps_, weights_;
  DeviceMemory<float> largest_;  // by place and value
  std::map<hopper::OperandWeight, OperandLines> operand_weights_;
  DeviceMemory<OperandLines> lines_;  // in their order
  std::map<hopper::OperandWeight, hopper::PhaseChannels> phases_;  // of those that are not as they lie
};

}  // namespace facegen::cuda
