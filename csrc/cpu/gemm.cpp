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

// Sums shorter than this are no longer than it takes to make 8-bit digits of their numbers.
constexpr int64_t kShortSum = 256;

}  // namespace

const Kernels& kernels_of(const Step& step, const Kernels& chosen) {
  if (step.op != Op::kGemm || chosen.vectors == nullptr) return chosen;
  const Kernels& vectors = *chosen.vectors();
  const int64_t length = int64_t{1} * step.kernel_h * step.kernel_w * step.in.c;
  const bool few_products = step.phase_count == 1 && Winograd::tile_outputs(step, vectors) == 4;
  const bool is_short = length < kShortSum && DirectGemm::suits(step, vectors);
  return few_products || is_short || PooledGemm::suits(step, vectors) ? vectors : chosen;
}

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
