#include "cpu/gemm.h"

#include "cpu/direct_gemm.h"
#include "cpu/indirect_gemm.h"
#include "cpu/pooled_gemm.h"
#include "cpu/thin_gemm.h"
#include "cpu/winograd.h"

namespace facegen::cpu {
namespace {

template <class Implementation>
std::unique_ptr<Gemm> make(const Step& step, const Kernels& kernels) {
  return std::make_unique<Implementation>(step, kernels);
}

bool is_unfinished(const Step& step, const Kernels&) { return step.finish == nullptr; }

constexpr GemmImplementation kBestFirst[] = {
    {"thin", ThinGemm::suits, make<ThinGemm>},
    {"winograd", Winograd::suits, make<Winograd>},
    {"pooled", PooledGemm::suits, make<PooledGemm>},
    {"direct", DirectGemm::suits, make<DirectGemm>},
    {"indirect", is_unfinished, make<IndirectGemm>},
};

}  // namespace

const GemmImplementation* find_gemm(const Step& step, const Kernels& kernels) {
  if (step.softmax_input || step.centre_channels != 0 || step.copy.buffer >= 0 || step.slices) {
    return nullptr;  // GPUs alone
  }
  for (const GemmImplementation& implementation : kBestFirst) {
    if (implementation.suits(step, kernels)) return &implementation;
  }
  return nullptr;
}

}  // namespace facegen::cpu
