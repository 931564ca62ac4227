// What every implementation of a kGemm step looks like to the executable, and which one a step gets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

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

// What a layer takes of one image, on one thread.
struct Costs {
  int64_t scratch_bytes = 0;   // between input and output
  int64_t weight_bytes = 0;    // as they are packed
  double multiplications = 0;  // of numbers of the input with weights, or of sums of either
};

class Gemm {
 public:
  virtual ~Gemm() = default;
  // Several threads may call it at once. `add` is the epilogue's summand, if it has one.
  virtual void run(int64_t images, Images in, Images out, Images add, int threads) const = 0;
  // Before the first run, and whenever the weights are others; the bias, where that is packed too, is
  // read anew. Nothing may run meanwhile.
  virtual void pack(const Weights& weights, int threads) = 0;
  // Needs no weights. Multiplications of 0: as many as the definition has.
  virtual Costs costs() const = 0;
};

struct GemmImplementation {
  const char* name;
  Algorithm algorithm;  // for steps that ask for it, or for any
  // Does all that the step asks for; where it asks for any, at best as fast as those behind it.
  bool (*suits)(const Step& step, const Kernels& kernels);
  // `step` need not outlive the call except its bias and its epilogue's constants.
  std::unique_ptr<Gemm> (*make)(const Step& step, const Kernels& kernels);
};

// Those of the kernels that were chosen which compute a step: AMX's leave layers to the vectors beside it
// for which these need far fewer products (Winograd's, the FFT's), or where most time goes into what is
// around the products. The answer depends on the step alone.
const Kernels& kernels_of(const Step& step, const Kernels& chosen);

// The first of the list, best first, that does all that the step asks for; null where none does. The
// answer depends on the step alone, not on the batch: so do the bits of the results.
const GemmImplementation* find_gemm(const Step& step, const Kernels& kernels);

// Why a step finds none, for people; empty where it does.
std::string why_no_gemm(const Step& step, const Kernels& kernels);

// Of a step that has an implementation; its weights are not read.
Costs costs_of(const Step& step, const Kernels& kernels);

}  // namespace facegen::cpu
