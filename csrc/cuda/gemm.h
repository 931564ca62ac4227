// What every kernel for a kGemm step looks like to the executable.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "cuda/fit/kernel.h"
#include "cuda/tensor.h"

namespace facegen::cuda {

// The constructors below read the weights on the host; bias, scale and shift are device pointers
// that outlive the kernel. They upload their packed weights to the calling thread's device.
struct GemmSpec : StepFit {
  int multiprocessors;  // of the calling thread's device
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
};

// For steps that the kernel of that name does: see fit/kernel.h.
std::unique_ptr<Gemm> make_softmax_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_thin_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_fma_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_mma_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_naive_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_im2col_gemm(const GemmSpec& spec);
std::unique_ptr<Gemm> make_winograd_gemm(const GemmSpec& spec);

namespace hopper {

std::unique_ptr<Gemm> make_stem(const GemmSpec& spec);
std::unique_ptr<Gemm> make_pool_windows(const GemmSpec& spec);
std::unique_ptr<Gemm> make_pool_maps(const GemmSpec& spec);
std::unique_ptr<Gemm> make_expand_pool(const GemmSpec& spec);
std::unique_ptr<Gemm> make_expand_squeeze(const GemmSpec& spec);
std::unique_ptr<Gemm> make_rows(const GemmSpec& spec);
std::unique_ptr<Gemm> make_expand(const GemmSpec& spec);
std::unique_ptr<Gemm> make_pixels(const GemmSpec& spec);
std::unique_ptr<Gemm> make_patch(const GemmSpec& spec);
std::unique_ptr<Gemm> make_scatter(const GemmSpec& spec);
std::unique_ptr<Gemm> make_gemm(const GemmSpec& spec);

}  // namespace hopper

}  // namespace facegen::cuda
