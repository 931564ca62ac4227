// What every kernel for a kGemm step looks like to the executable.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "cuda/device.h"
#include "cuda/prepare.h"
#include "cuda/tensor.h"

namespace facegen::cuda {

// The constructors below read `step.weight` on the host; bias, scale and shift are device pointers
// that outlive the kernel. They upload their packed weights to the calling thread's device.
struct GemmSpec {
  const PreparedStep& prepared;
  const Step& step;  // of it
  Layout in, out;  // out: of prepared.output()
  Precision precision;
  const DeviceInfo& device;  // the calling thread's
};

class Gemm {
 public:
  virtual ~Gemm() = default;
  // Enqueues the product for a batch; allocates nothing, and may be captured into a graph.
  // The operands have the layouts of the GemmSpec.
  virtual void run(int64_t images, const Operands& operands, cudaStream_t stream) const = 0;
  // Scratch memory of an image, for small batches.
  virtual int64_t scratch_floats() const { return 0; }
  // In how many slices a batch of this size is computed, if it can be left so (Operands::slices).
  virtual int slices(int64_t) const { return 0; }
  // For tables of times: "fma 128x64".
  virtual const char* name() const = 0;
};

std::unique_ptr<Gemm> make_fma_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_mma_gemm(const GemmSpec& spec);
// Null where it does not suit the layer.
std::unique_ptr<Gemm> make_thin_gemm(const GemmSpec& spec);
// On Hopper, in float32 or float16; null where they do not suit the layer or its formats.
std::unique_ptr<Gemm> make_hopper_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_hopper_scatter(const GemmSpec& spec);
std::unique_ptr<Gemm> make_hopper_patch(const GemmSpec& spec);
// Where the max-pool of its output is part of the step (PreparedStep::pool).
std::unique_ptr<Gemm> make_hopper_stem(const GemmSpec& spec);
std::unique_ptr<Gemm> make_hopper_pool_windows(const GemmSpec& spec);
std::unique_ptr<Gemm> make_hopper_pool_maps(const GemmSpec& spec);
std::unique_ptr<Gemm> make_hopper_expand_pool(const GemmSpec& spec);
// Where a squeeze of it is (PreparedStep::squeeze).
std::unique_ptr<Gemm> make_hopper_expand_squeeze(const GemmSpec& spec);
// Null as those above.
std::unique_ptr<Gemm> make_hopper_rows(const GemmSpec& spec);
std::unique_ptr<Gemm> make_hopper_expand(const GemmSpec& spec);
std::unique_ptr<Gemm> make_hopper_pixels(const GemmSpec& spec);
// Where the softmax of its input is part of the step.
std::unique_ptr<Gemm> make_softmax_gemm(const GemmSpec& spec);

}  // namespace facegen::cuda
