// What the kernels for kGemm steps share on the host.
#pragma once

#include <vector>

#include "cuda/gemm.h"
#include "cuda/operand.h"
#include "cuda/runtime/memory.h"

namespace facegen::cuda {

class Layer : public Gemm {
 protected:
  // Weights, phases and finish of the step are there for constructors alone, in `spec`.
  explicit Layer(const GemmSpec& spec)
      : step_(spec.step), half_(spec.target.half()), multiprocessors_(spec.multiprocessors) {
    step_.weight = nullptr;
    step_.phases = nullptr;
    step_.finish = nullptr;
  }

  // A copy on the device, for as long as the layer lives.
  template <class T>
  const T* keep(const std::vector<T>& values) {
    const auto bytes = static_cast<int64_t>(values.size() * sizeof(T));
    kept_.push_back(upload(reinterpret_cast<const uint8_t*>(values.data()), bytes));
    return reinterpret_cast<const T*>(kept_.back().get());
  }
  const uint8_t* keep_packed(const std::vector<uint16_t>& weights) {
    return reinterpret_cast<const uint8_t*>(keep(weights));
  }

  // Sets those of a kernel's arguments that a batch decides.
  template <class Arguments>
  void bind(Arguments& args, int64_t images, const Operands& operands) const {
    args.in = make_operand(step_.in, operands.in);
    args.out = make_operand(step_.out, operands.out);
    args.images = static_cast<int32_t>(images);
  }

  Step step_;
  bool half_;
  int multiprocessors_;

 private:
  std::vector<DeviceMemory<uint8_t>> kept_;
};

}  // namespace facegen::cuda
