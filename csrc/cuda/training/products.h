// The products of a training program that Hopper's kernel does, and the split maps that it reads.
//
// A map is split by the kernel that makes it, where that can, else (of layers of few channels, gathered) when
// the first product reads it, and stays until the last has; weights, which change with each step, are split
// when a step begins.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "cuda/fit/product_plan.h"
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

  void enqueue_weights(cudaStream_t stream) const;
  const char* name() const;  // of their kernel
  // Where a step's output goes besides: its kernel makes a map that is read later.
  OperandTarget operand_target(std::size_t step, int64_t images) const;
  // Enqueues a step's product, unless the generic kernel has to. `target`: of the weight's gradient.
  bool enqueue(std::size_t step, const TrainingCall& call, const float* bias, float* target) const;
  bool does(std::size_t step, int64_t images) const;

 private:
  // A split map, from the step that makes it to the last that reads it.
  struct OperandMap {
    int32_t value;
    bool is_gradient;  // of float16, scaled by its largest number
    std::optional<hopper::GatherMap> gather;
    int32_t h, w, c;
    std::size_t first, last;
    bool by_writer = false;  // the step that writes the value makes it, in the same kernel
    int64_t offset = 0;  // elements of an image, with all maps before it

    int32_t pitch() const { return (c + 7) / 8 * 8; }
    int64_t plane() const { return int64_t{1} * h * w * pitch(); }  // elements of an image
  };
  struct Operands {
    hopper::ProductPlan plan;
    std::size_t a = 0, b = 0;  // split maps; forward and input have no b: that is the weight
  };
  struct Batch {
    std::map<std::size_t, Operands> steps;
    std::map<std::size_t, std::size_t> made_by;  // step -> map
    std::vector<OperandMap> maps;
    int64_t elements = 0;  // of an image
  };
  // A weight, by its array and the channels of its lines: see product_step.h.
  using WeightKey = std::pair<int32_t, int32_t>;

  int64_t map_elements(int64_t images, int32_t places);
  int64_t largest_count(int32_t places) const;
  Batch make_batch(int64_t images) const;
  bool can_make(const Batch& batch, std::size_t step, const OperandMap& map) const;
  OperandTarget target_of(const OperandMap& map, int64_t images) const;
  int64_t elements(const OperandMap& map) const;
  const Batch& batch(int64_t images);
  const OperandMap& make_map(const OperandMap& map, std::size_t step, const TrainingCall& call,
                           const TrainingMap& from) const;
  CUtensorMap see_map(const OperandMap& map, int64_t images, hopper::Box box, int step_y, int step_x) const;
  CUtensorMap see_weight(const hopper::ProductStep& product, const hopper::ProductPlan& plan) const;
  void scatter(const hopper::ProductStep& product, const TrainingCall& call, const hopper::ProductPlan& plan,
               const float* bias) const;
  uint16_t* place(const OperandMap& map, int64_t images) const {
    return maps_.get() + images * (place_ * batches_.at(images).elements + map.offset);
  }
  bool is_scaled(const OperandMap& map) const {
    return format_ == hopper::OperandFormat::kFloat16 && map.is_gradient;
  }
  // Of a map that is scaled.
  float* largest(const OperandMap& map) const {
    return largest_.get() + place_ * program_->values.size() + static_cast<std::size_t>(map.value);
  }

  const TrainingProgram* program_ = nullptr;
  bool on_ = false, always_ = false;
  hopper::OperandFormat format_ = hopper::OperandFormat::kSplit;
  int multiprocessors_ = 0;
  int32_t place_ = 0;
  std::map<std::size_t, hopper::ProductStep> products_;  // by step
  std::map<int64_t, Batch> batches_;
  DeviceMemory<uint16_t> maps_, weights_;
  DeviceMemory<float> largest_;  // by place and value
  std::map<WeightKey, OperandLines> operand_weights_;
  DeviceMemory<OperandLines> lines_;
  DeviceMemory<OperandBlock> blocks_;
};

}  // namespace facegen::cuda
