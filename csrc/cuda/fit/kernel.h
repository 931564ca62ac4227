// Which kernel does a step on a GPU: the one place where that is decided.
#pragma once

#include <optional>
#include <string>

#include "cuda/fit/step_fit.h"

namespace facegen::cuda {

// Best first, where several can do a step.
enum class Kernel {
  kSoftmaxGemm,
  kHopperStem,
  kHopperPoolWindows,
  kHopperPoolMaps,
  kHopperExpandPool,
  kHopperExpandSqueeze,
  kHopperRows,
  kHopperExpand,
  kHopperPixels,
  kHopperPatch,
  kHopperScatter,
  kHopperGemm,
  kThin,
  kFma,
  kMma,
  kNaive,  // this and the next two by the name of an algorithm alone
  kIm2col,
  kWinograd,
  kHopperNorm,
  kNorm,
  kMaxPool,
  kSoftmax,
  kResample,
  kPointwise,
  kArgMax,
  kGlobalAvgPool,
  kDepthwise,
  kGroupNorm,
  kLayerNorm,
  kResponseNorm,
  kShuffle,
  kRearrange,
  kNone,  // nothing does all that the step asks for
};

Kernel find_kernel(const StepFit& fit);

// Why there is none for a step that names an algorithm, for people; empty where there is, and for others.
std::string why_not_by_name(const Step& step, const Target& target);

// For tables: "wgmma expand bf16x3 + max pool".
std::string kernel_name(Kernel kernel, const Step& step, const Target& target);

// The format in which a step's input should be, where it lies in the arena; none where any will do.
std::optional<Format> input_format(const Step& step, const Target& target);

}  // namespace facegen::cuda
