// The products of a training program that Hopper's kernel does, and the split maps that it reads.
//
// A map is split when the first product reads it, and stays until the last has; weights, which change with
// each step, are split when a step begins.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "cuda/fit/product_plan.h"
#include "cuda/runtime/memory.h"
#include "cuda/training/call.h"
#include "cuda/training/split.h"

namespace facegen::cuda {

enum class ProductKernels {
  kAuto,     // Hopper's where they are faster
  kGeneric,
  kHopper,   // wherever they do a step
};

class Products {
 public:
  Products() = default;
  // Reads the program, which outlives it; a copy of parameter i is at arrays[i].
  Products(const TrainingProgram& program, const std::vector<float*>& arrays, int device,
           ProductKernels kernels);

  // Makes memory for so many batches side by side, and plans; false where it was there.
  bool reserve(int64_t images, int32_t places);
  // Which of them enqueue() is of from now on.
  void choose_place(int32_t place) { place_ = place; }
  int64_t scratch_bytes(int64_t images);
  int64_t memory_bytes() const { return maps_.bytes() + weights_.bytes(); }

  void enqueue_weights(cudaStream_t stream) const;
  // Enqueues a step's product, unless the generic kernel has to. `target`: of the weight's gradient.
  bool enqueue(std::size_t step, const TrainingCall& call, const float* bias, float* target) const;
  bool does(std::size_t step, int64_t images) const;

 private:
  // A split map, from the step that makes it to the last that reads it.
  struct SplitMap {
    int32_t value;
    std::size_t first, last;
    int64_t elements;  // of both planes of an image
    int64_t offset = 0;  // of an image
  };
  struct Operands {
    hopper::ProductPlan plan;
    int32_t a = -1, b = -1;  // split maps; no b: the weight's
  };
  struct Batch {
    std::map<std::size_t, Operands> steps;
    std::vector<SplitMap> maps;
    int64_t elements = 0;  // of an image
  };
  Batch make_batch(int64_t images) const;
  const Batch& batch(int64_t images);
  void split(const SplitMap& map, const TrainingCall& call, const TrainingMap& from) const;
  uint16_t* place(const SplitMap& map, int64_t images) const {
    return maps_.get() + images * (place_ * batches_.at(images).elements + map.offset);
  }

  const TrainingProgram* program_ = nullptr;
  bool on_ = false, always_ = false;
  int multiprocessors_ = 0;
  int32_t place_ = 0;
  std::map<int64_t, Batch> batches_;
  DeviceMemory<uint16_t> maps_, weights_;
  std::map<int32_t, SplitLines> split_weights_;  // by array
  DeviceMemory<SplitLines> lines_;
  DeviceMemory<SplitBlock> blocks_;
};

}  // namespace facegen::cuda
