// Winograd's convolution on a GPU: winograd.h has the essay and the arithmetic.
#include "cuda/algorithms/winograd.h"

#include "cuda/algorithms/launch.cuh"

namespace facegen::cuda {
namespace algorithms {
namespace {

class WinogradGemm final : public NamedLayer {
 public:
  explicit WinogradGemm(const GemmSpec& spec)
      : NamedLayer(spec),
        parts_(winograd_parts(convolution_)),
        weights_(keep(winograd_weights(spec.step, parts_))) {}

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    run_winograd(GpuExecutor{stream}, convolution_, parts_, weights_, input(operands), images,
                 operands.scratch, scratch_floats(), finish(operands));
  }
  int64_t scratch_floats() const override { return winograd_floats(parts_); }

 private:
  std::vector<WinogradPart> parts_;
  const float* weights_;
};

}  // namespace
}  // namespace algorithms

std::unique_ptr<Gemm> make_winograd_gemm(const GemmSpec& spec) {
  return std::make_unique<algorithms::WinogradGemm>(spec);
}

}  // namespace facegen::cuda
