// The operands of a training program's products, where Hopper's kernel does them: which maps become operands, by
// which step, until when, and where they lie; and which weights.
//
// A map becomes an operand in the kernel that makes it, where that can, else (of layers of few channels, gathered)
// when the first product reads it, and stays until the last has. Weights, which change with each step, become
// operands when a step begins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda/fit/fused_plan.h"
#include "cuda/fit/product_plan.h"

namespace facegen::cuda::hopper {

// Of lines of so many channels: whole runs of 8.
inline int32_t operand_pitch(int32_t channels) { return (channels + 7) / 8 * 8; }
inline int32_t taps_of(const TrainingStep& step) { return step.kernel_h * step.kernel_w; }

// Numbers of 16 bits of an operand whose planes have so many: each begins at a multiple of 128 bytes.
int64_t operand_elements(OperandFormat format, int64_t plane);

// A map as an operand, from the step that makes it to the last that reads it.
struct OperandMap {
  int32_t value;
  bool is_gradient;  // of float16, scaled by its largest number
  std::optional<GatherMap> gather;
  int32_t h, w, c;
  std::size_t first, last;
  bool by_writer = false;  // the steps that write the value make it, in the same kernels
  bool alone = false;      // nothing reads the value itself, which these need not write
  int64_t offset = 0;      // elements of an image, with all maps before it

  int32_t pitch() const { return operand_pitch(c); }
  int64_t plane() const { return int64_t{1} * h * w * pitch(); }  // elements of an image
};

// A weight as an operand, by its array and the channels of its lines: see product_step.h.
struct OperandWeight {
  int32_t array, channels;
  bool of_phases = false;  // see product_phases.h

  bool operator==(const OperandWeight& o) const { return !(*this < o) && !(o < *this); }
  bool operator<(const OperandWeight& o) const {
    return std::tie(array, channels, of_phases) < std::tie(o.array, o.channels, o.of_phases);
  }
};
inline OperandWeight weight_of(const ProductStep& product) {
  return {product.step.weight, product.groups.ins, product.phases.has_value()};
}

struct PlannedProduct {
  ProductPlan plan;
  std::size_t a = 0, b = 0;  // maps; forward and input have no b: that is the weight
};

// Of a batch of so many images.
struct OperandPlan {
  std::map<std::size_t, PlannedProduct> products;  // by step
  std::map<std::size_t, std::size_t> made_by;      // step -> map
  // Steps that multiply a gradient by an activation's slope, by the product before them that does it on the way:
  // it writes what they would.
  std::map<std::size_t, std::size_t> gates;
  FusedPlan fused;
  std::vector<OperandMap> maps;
  int64_t elements = 0;             // of an image
  std::set<OperandWeight> weights;  // that these products read

  // Whether another step does this one on the way.
  bool is_done(std::size_t step) const {
    return fused.done.count(step) > 0 || (step > 0 && gates.count(step - 1) > 0);
  }
  // The step that a product or a copy so does: the gradient of a ramp.
  std::optional<std::size_t> gate_of(std::size_t step) const {
    for (const auto* all : {&gates, &fused.gates}) {
      if (const auto found = all->find(step); found != all->end()) return found->second;
    }
    return {};
  }
};

// By step.
using ProductSteps = std::map<std::size_t, ProductStep>;
ProductSteps lower_products(const TrainingProgram& program);

// `always`: wherever the kernel does a step, not only where it is faster.
OperandPlan plan_operands(const TrainingProgram& program, const ProductSteps& steps, int64_t images,
                          OperandFormat format, bool always);

// For sums in parts, of the product that needs most.
int64_t product_scratch_floats(const TrainingProgram& program, const ProductSteps& steps,
                               const OperandPlan& plan, int64_t images);

}  // namespace facegen::cuda::hopper
