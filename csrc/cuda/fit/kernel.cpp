#include "cuda/fit/kernel.h"

#include <iterator>

#include "algorithms.h"
#include "cuda/fit/expand_plan.h"
#include "cuda/fit/gemm_plan.h"
#include "cuda/fit/norm.h"
#include "cuda/fit/patch_plan.h"
#include "cuda/fit/pixels.h"
#include "cuda/fit/pooled.h"
#include "cuda/fit/scatter.h"
#include "cuda/fit/softmax_gemm.h"
#include "cuda/fit/thin_plan.h"

namespace facegen::cuda {
namespace {

bool thin_suits(const StepFit& fit) {
  return fit.target.kernels == "auto" && !plan_thin(fit.step, fit.in).phases.empty();
}

bool fma_suits(const StepFit& fit) {
  return fit.target.kernels == "fma" || fit.target.precision == Precision::kStrict;
}

bool mma_suits(const StepFit& fit) { return !fma_suits(fit); }

// A kernel is not asked about steps that want more of it than `does`.
struct Entry {
  Kernel kernel;
  bool (*suits)(const StepFit& fit);
  unsigned does;
};

constexpr unsigned kAnyEpilogue = kActivation | kEpilogue;

constexpr Entry kGemms[] = {
    {Kernel::kSoftmaxGemm, softmax_gemm_suits, kSoftmaxInput | kAnyEpilogue},
    {Kernel::kHopperStem, hopper::stem_suits, kFinish},
    {Kernel::kHopperPoolWindows, hopper::pool_windows_suit, kFinish},
    {Kernel::kHopperPoolMaps, hopper::pool_maps_suit, kFinish},
    {Kernel::kHopperExpandPool, hopper::expand_pool_suits, kFinish | kCentreChannels},
    {Kernel::kHopperExpandSqueeze, hopper::expand_squeeze_suits, kFinish | kCentreChannels},
    {Kernel::kHopperRows, hopper::rows_suit, kNothing},
    {Kernel::kHopperExpand, hopper::expand_suits, kCentreChannels},
    {Kernel::kHopperPixels, hopper::pixels_suit, kFinish},
    {Kernel::kHopperPatch, hopper::patch_suits, kCopy | kActivation},
    {Kernel::kHopperScatter, hopper::scatter_suits, kNothing},
    {Kernel::kHopperGemm, hopper::wgmma_suits, kCentreChannels | kSlices | kActivation},
    {Kernel::kThin, thin_suits, kAnyEpilogue},
    {Kernel::kFma, fma_suits, kAnyEpilogue},
    {Kernel::kMma, mma_suits, kAnyEpilogue},
};

bool takes_any(const Step&) { return true; }

// What steps that name an algorithm get: these, and no others do.
struct ByName {
  Algorithm algorithm;
  Kernel kernel;
  const char* name;
  bool (*takes)(const Step& step);
};

constexpr ByName kByName[] = {
    {Algorithm::kNaive, Kernel::kNaive, "naive", takes_any},
    {Algorithm::kIm2col, Kernel::kIm2col, "im2col", im2col_takes},
    {Algorithm::kWinograd, Kernel::kWinograd, "winograd", winograd_takes},
};

// Null where GPUs do not have the algorithm.
const ByName* find_by_name(Algorithm algorithm) {
  for (const ByName& entry : kByName) {
    if (entry.algorithm == algorithm) return &entry;
  }
  return nullptr;
}

// "naive, im2col and winograd"
std::string names_of_algorithms() {
  std::string names;
  const ByName* const last = std::end(kByName) - 1;
  for (const ByName& entry : kByName) {
    names += std::string(&entry == kByName ? "" : &entry == last ? " and " : ", ") + entry.name;
  }
  return names;
}

Kernel kernel_of(const Step& step) {
  switch (step.op) {
    case Op::kGemm: break;
    case Op::kMaxPool: return Kernel::kMaxPool;
    case Op::kInstanceNorm:
      return step.groups == step.in.c ? Kernel::kNorm : Kernel::kGroupNorm;
    case Op::kSoftmax: return Kernel::kSoftmax;
    case Op::kResample: return Kernel::kResample;
    case Op::kPointwise: return Kernel::kPointwise;
    case Op::kFill: return Kernel::kPointwise;
    case Op::kArgMax: return Kernel::kArgMax;
    case Op::kGlobalAvgPool: return Kernel::kGlobalAvgPool;
    case Op::kDepthwise: return Kernel::kDepthwise;
    case Op::kLayerNorm: return Kernel::kLayerNorm;
    case Op::kLrn: return Kernel::kResponseNorm;
    case Op::kShuffle: return Kernel::kShuffle;
    case Op::kRearrange: return Kernel::kRearrange;
  }
  return Kernel::kNone;
}

std::string family_of(Kernel kernel) {
  switch (kernel) {
    case Kernel::kSoftmaxGemm: return "softmax and fma";
    case Kernel::kHopperStem: return "wgmma stem";
    case Kernel::kHopperPoolWindows: return "wgmma windows";
    case Kernel::kHopperPoolMaps: return "wgmma maps";
    case Kernel::kHopperExpandPool: return "wgmma expand";
    case Kernel::kHopperExpandSqueeze: return "wgmma expand";
    case Kernel::kHopperRows: return "wgmma rows";
    case Kernel::kHopperExpand: return "wgmma expand";
    case Kernel::kHopperPixels: return "wgmma pixels";
    case Kernel::kHopperPatch: return "wgmma patch";
    case Kernel::kHopperScatter: return "wgmma scatter";
    case Kernel::kHopperGemm: return "wgmma";
    case Kernel::kThin: return "thin";
    case Kernel::kFma: return "fma";
    case Kernel::kMma: return "mma";
    case Kernel::kHopperNorm: return "instance norm, one pass";
    case Kernel::kNorm: return "instance norm";
    case Kernel::kMaxPool: return "max pool";
    case Kernel::kSoftmax: return "softmax";
    case Kernel::kResample: return "resample";
    case Kernel::kPointwise: return "pointwise";
    case Kernel::kArgMax: return "argmax";
    case Kernel::kGlobalAvgPool: return "global average pool";
    case Kernel::kDepthwise: return "depthwise";
    case Kernel::kGroupNorm: return "group norm";
    case Kernel::kLayerNorm: return "layer norm";
    case Kernel::kResponseNorm: return "response norm";
    case Kernel::kShuffle: return "shuffle";
    case Kernel::kRearrange: return "rearrange";
    case Kernel::kNaive:
    case Kernel::kIm2col:
    case Kernel::kWinograd:
    case Kernel::kNone: break;
  }
  for (const ByName& entry : kByName) {
    if (entry.kernel == kernel) return entry.name;
  }
  return "";
}

// How tensor cores multiply.
const char* product_of(const Target& target) {
  if (target.half()) return " f16";
  return target.precision == Precision::kTf32 ? " tf32" : " bf16x3";
}

}  // namespace

Kernel find_kernel(const StepFit& fit) {
  const Step& step = fit.step;
  if (step.op == Op::kGemm) {
    if (names_algorithm(step)) {
      const bool does = !(extras_of(step) & ~kAnyEpilogue) && why_not_by_name(step, fit.target).empty();
      return does ? find_by_name(step.algorithm)->kernel : Kernel::kNone;
    }
    for (const Entry& entry : kGemms) {
      if (!(extras_of(step) & ~entry.does) && entry.suits(fit)) return entry.kernel;
    }
    return Kernel::kNone;
  }
  if (!(extras_of(step) & ~(kCopy | kSlices | kActivation)) && hopper::norm_suits(fit)) return Kernel::kHopperNorm;
  return extras_of(step) & ~kAnyEpilogue ? Kernel::kNone : kernel_of(step);
}

std::string why_not_by_name(const Step& step, const Target& target) {
  if (!names_algorithm(step)) return "";
  const ByName* const found = find_by_name(step.algorithm);
  if (found == nullptr) return "GPUs have the algorithms auto, direct, " + names_of_algorithms();
  if (target.precision != Precision::kStrict) {
    return "GPUs have " + names_of_algorithms() + " in precision \"strict\" alone";
  }
  return found->takes(step) ? "" : std::string("it takes ") + what_it_takes(step.algorithm);
}

std::string kernel_name(Kernel kernel, const Step& step, const Target& target) {
  const std::string name = family_of(kernel);
  const bool by_precision = name.rfind("wgmma", 0) == 0 || name == "mma";
  const char* finish = step.finish == nullptr             ? ""
                       : step.finish->op == Op::kMaxPool ? " + max pool"
                       : step.finish->op == Op::kSoftmax ? " + softmax"
                                                         : " + 1x1";
  return name + (by_precision ? product_of(target) : "") + finish;
}

std::optional<Format> input_format(const Step& step, const Target& target) {
  // What these make of two bfloat16 has no more digits than the operands that become of it.
  if (step.op == Op::kMaxPool || step.op == Op::kPointwise || step.op == Op::kDepthwise) {
    return std::nullopt;
  }
  if (step.op != Op::kGemm || step.softmax_input) return target.value_format();
  if (target.hopper_gemms() && hopper::has_patches(step)) return Format::kFloat32;
  return target.operand_format();
}

}  // namespace facegen::cuda
