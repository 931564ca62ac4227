// The algorithms of this folder as the engine's GEMMs.
#include "cuda/algorithms/gpu_executor.cuh"
#include "cuda/algorithms/im2col.h"
#include "cuda/algorithms/naive.h"
#include "cuda/algorithms/winograd.h"
#include "cuda/generic/element.cuh"
#include "cuda/layer.h"

namespace facegen::cuda {
namespace {

// What is done with a sum: the step's epilogue.
struct StoreOutput {
  DeviceEpilogue epilogue;
  Operand out;

  __device__ void operator()(int64_t image, int64_t pixel, int n, float sum) const {
    finish(epilogue, out, image, pixel, n, sum);
  }
};

template <class Algorithm>
class AlgorithmGemm final : public Layer {
 public:
  explicit AlgorithmGemm(const GemmSpec& spec)
      : Layer(spec), algorithm_(spec.step), weights_(keep(algorithm_.weights(spec.step))) {}

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    const View& in = step_.in;
    const algorithms::Map map = {static_cast<const float*>(operands.in.data), operands.in.image_stride,
                                 in.pixel_stride, in.h, in.w, in.c};
    const StoreOutput store = {make_epilogue(step_, operands.add), make_operand(step_.out, operands.out)};
    algorithm_.run(algorithms::GpuExecutor{stream}, weights_, map, images, operands.scratch, store);
  }
  int64_t scratch_floats() const override { return algorithm_.scratch_floats(); }

 private:
  Algorithm algorithm_;
  const float* weights_;
};

}  // namespace

std::unique_ptr<Gemm> make_naive_gemm(const GemmSpec& spec) {
  return std::make_unique<AlgorithmGemm<algorithms::Naive>>(spec);
}
std::unique_ptr<Gemm> make_im2col_gemm(const GemmSpec& spec) {
  return std::make_unique<AlgorithmGemm<algorithms::Im2col>>(spec);
}
std::unique_ptr<Gemm> make_winograd_gemm(const GemmSpec& spec) {
  return std::make_unique<AlgorithmGemm<algorithms::Winograd>>(spec);
}

}  // namespace facegen::cuda
