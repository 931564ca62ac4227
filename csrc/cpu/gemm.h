// What every implementation of a kGemm step looks like to the executable, and which one a step gets.
#pragma once

#include <cstdint>
#include <memory>

#include "cpu/kernels.h"
#include "program.h"

namespace facegen::cpu {

// Where a view's images lie in memory.
struct Images {
  float* data = nullptr;     // first pixel of the first image
  int64_t image_stride = 0;  // floats
};

// The weights of a step: of output n, tap t of the kernel and input channel c is
// data[n * output_stride + t * tap_stride + c * input_stride]. One of the outer strides is 1.
struct Weights {
  const float* data;
  int64_t output_stride, tap_stride, input_stride;
};

// As a step has them: (outputs, taps, inputs).
inline Weights weights_of(const Step& step) {
  const int64_t taps = int64_t{1} * step.kernel_h * step.kernel_w;
  return {step.weight, taps * step.in.c, step.in.c, 1};
}

// Those of a layer of so many inputs and outputs, in a step that has them in each other's places.
inline Weights transposed_weights(const float* weight, int64_t taps, int64_t inputs) {
  return {weight, 1, inputs, taps * inputs};
}

class Gemm {
 public:
  virtual ~Gemm() = default;
  // Several threads may call it at once. `add` is the epilogue's summand, if it has one.
  virtual void run(int64_t images, Images in, Images out, Images add, int threads) const = 0;
  // Packs other weights of the same layer; its bias, where that is packed too, is read anew. Nothing
  // may run meanwhile.
  virtual void pack(const Weights& weights, int threads) = 0;
};

struct GemmImplementation {
  const char* name;
  bool (*suits)(const Step& step, const Kernels& kernels);
  // Packs the weights; `step` need not outlive the call except its bias and its epilogue's constants.
  std::unique_ptr<Gemm> (*make)(const Step& step, const Kernels& kernels);
};

// Those of the kernels that were chosen which compute a step: AMX's leave layers to the vectors beside it
// for which these need far fewer products, or where most time goes into what is around the products. The
// answer depends on the step alone.
const Kernels& kernels_of(const Step& step, const Kernels& chosen);

// The first of the list, best first, that does all that the step asks for; null where none does. The
// answer depends on the step alone, not on the batch: so do the bits of the results.
const GemmImplementation* find_gemm(const Step& step, const Kernels& kernels);

}  // namespace facegen::cpu
