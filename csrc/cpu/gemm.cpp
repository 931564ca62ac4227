#include "cpu/gemm.h"

#include "algorithms.h"
#include "cpu/binary_gemm.h"
#include "cpu/direct_gemm.h"
#include "cpu/fft.h"
#include "cpu/indirect_gemm.h"
#include "cpu/pooled_gemm.h"
#include "cpu/ranges.h"
#include "cpu/textbook/im2col_gemm.h"
#include "cpu/textbook/naive_gemm.h"
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
    {"binary", Algorithm::kDirect, BinaryGemm::suits, make<BinaryGemm>},
    {"thin", Algorithm::kDirect, ThinGemm::suits, make<ThinGemm>},
    {"winograd", Algorithm::kWinograd, Winograd::suits, make<Winograd>},
    {"fft", Algorithm::kFft, Fft::suits, make<Fft>},
    {"pooled", Algorithm::kDirect, PooledGemm::suits, make<PooledGemm>},
    {"direct", Algorithm::kDirect, DirectGemm::suits, make<DirectGemm>},
    {"indirect", Algorithm::kDirect, is_unfinished, make<IndirectGemm>},  // every layer
    // What follows is taken by name alone.
    {"im2col", Algorithm::kIm2col, Im2colGemm::suits, make<Im2colGemm>},
    {"strassen", Algorithm::kStrassen, Im2colGemm::suits, make<Im2colGemm>},
    {"naive", Algorithm::kNaive, is_unfinished, make<NaiveGemm>},
};

// Products of one image that read inside the input.
double defined_products(const Step& step) {
  double pairs = 0;
  for (int i = 0; i < step.phase_count; ++i) {
    const auto& [y, x] = step.phases[i];
    pairs += static_cast<double>(valid_taps(y, step.in.h)) *
             static_cast<double>(valid_taps(x, step.in.w));
  }
  return pairs * step.in.c * map_of(step).c;
}

// Sums shorter than this are no longer than it takes to make 8-bit digits of their numbers.
constexpr int64_t kShortSum = 256;

}  // namespace

const Kernels& kernels_of(const Step& step, const Kernels& chosen) {
  if (step.op != Op::kGemm || chosen.vectors == nullptr) return chosen;
  const Kernels& vectors = *chosen.vectors();
  if (names_algorithm(step)) return vectors;
  if (BinaryGemm::suits(step, chosen)) return chosen;
  const int64_t length = int64_t{1} * step.kernel_h * step.kernel_w * step.in.c;
  const bool few_products = step.phase_count == 1 && Winograd::tile_outputs(step, vectors) == 4;
  const bool is_short = length < kShortSum && DirectGemm::suits(step, vectors);
  return few_products || is_short || Fft::suits(step, vectors) || PooledGemm::suits(step, vectors) ? vectors : chosen;
}

const GemmImplementation* find_gemm(const Step& step, const Kernels& kernels) {
  if (step.softmax_input || step.centre_channels != 0 || step.copy.buffer >= 0 || step.slices) {
    return nullptr;  // GPUs alone
  }
  for (const GemmImplementation& implementation : kBestFirst) {
    const bool any = step.algorithm == Algorithm::kAuto;
    if (!any && implementation.algorithm != step.algorithm) continue;
    if (implementation.suits(step, kernels)) return &implementation;
  }
  return nullptr;
}

std::string why_no_gemm(const Step& step, const Kernels& kernels) {
  if (find_gemm(step, kernels) != nullptr) return "";
  return std::string("it takes ") + what_it_takes(step.algorithm);
}

Costs costs_of(const Step& step, const Kernels& kernels) {
  Costs costs = find_gemm(step, kernels)->make(step, kernels)->costs();
  if (costs.multiplications == 0) costs.multiplications = defined_products(step);
  return costs;
}

}  // namespace facegen::cpu
