// im2col on a GPU: im2col.h has the essay and the arithmetic.
#include "cuda/algorithms/im2col.h"

#include "cuda/algorithms/launch.cuh"

namespace facegen::cuda {
namespace algorithms {
namespace {

class Im2colGemm final : public NamedLayer {
 public:
  explicit Im2colGemm(const GemmSpec& spec)
      : NamedLayer(spec), weights_(keep(weight_matrix(spec.step))) {}

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    run_im2col(GpuExecutor{stream}, convolution_, weights_, input(operands), images,
               operands.scratch, finish(operands));
  }
  int64_t scratch_floats() const override { return im2col_floats(convolution_); }

 private:
  const float* weights_;
};

}  // namespace
}  // namespace algorithms

std::unique_ptr<Gemm> make_im2col_gemm(const GemmSpec& spec) {
  return std::make_unique<algorithms::Im2colGemm>(spec);
}

}  // namespace facegen::cuda
