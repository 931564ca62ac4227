// The definition on a GPU: naive.h has the essay and the arithmetic.
#include "cuda/algorithms/naive.h"

#include "cuda/algorithms/launch.cuh"

namespace facegen::cuda {
namespace algorithms {
namespace {

class NaiveGemm final : public NamedLayer {
 public:
  explicit NaiveGemm(const GemmSpec& spec)
      : NamedLayer(spec), weights_(keep(weight_matrix(spec.step))) {}

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    run_naive(GpuExecutor{stream}, convolution_, weights_, input(operands), images, finish(operands));
  }

 private:
  const float* weights_;
};

}  // namespace
}  // namespace algorithms

std::unique_ptr<Gemm> make_naive_gemm(const GemmSpec& spec) {
  return std::make_unique<algorithms::NaiveGemm>(spec);
}

}  // namespace facegen::cuda
