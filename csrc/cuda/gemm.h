// What every kernel for a kGemm step looks like to the executable.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "cuda/tensor.h"
#include "program.h"

namespace facegen::cuda {

enum class Precision : int32_t {
  kFloat32,  // bf16 x 3 on tensor cores: see docs/accuracy.md
  kStrict,   // plain float32 multiply-adds
  kTf32,
  kFloat16,
};

// The constructors below read `step.weight` on the host; bias, scale and shift are device pointers
// that outlive the kernel. They upload their packed weights to the calling thread's device.
struct GemmSpec {
  const Step& step;
  Layout in, out;
  Precision precision;
};

class Gemm {
 public:
  virtual ~Gemm() = default;
  // Enqueues the product for a batch; allocates nothing, and may be captured into a graph.
  // `in`, `out` and `add` have the layouts of the GemmSpec; `add.data` is null where there is none.
  virtual void run(int64_t images, Images in, Images out, Images add,
                   cudaStream_t stream) const = 0;
  // For tables of times: "fma 128x64".
  virtual const char* name() const = 0;
};

std::unique_ptr<Gemm> make_fma_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_mma_gemm(const GemmSpec& spec);
// Null where it does not suit the layer.
std::unique_ptr<Gemm> make_thin_gemm(const GemmSpec& spec);
// Null where they do not suit the layer, its formats, or the device.
std::unique_ptr<Gemm> make_hopper_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_hopper_scatter(const GemmSpec& spec);

}  // namespace facegen::cuda
