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

class Gemm {
 public:
  virtual ~Gemm() = default;
  // Several threads may call it at once. `add` is the epilogue's summand, if it has one.
  virtual void run(int64_t images, Images in, Images out, Images add, int threads) const = 0;
  // Packs other weights of the same layer; its bias, where that is packed too, is read anew. Nothing
  // may run meanwhile.
  virtual void pack(const float* weight, int threads) = 0;
};

struct GemmImplementation {
  const char* name;
  bool (*suits)(const Step& step, const Kernels& kernels);
  // Packs the weights; `step` need not outlive the call except its bias and its epilogue's constants.
  std::unique_ptr<Gemm> (*make)(const Step& step, const Kernels& kernels);
};

// The first of the list, best first, that does all that the step asks for; null where none does. The
// answer depends on the step alone, not on the batch: so do the bits of the results.
const GemmImplementation* find_gemm(const Step& step, const Kernels& kernels);

}  // namespace facegen::cpu
