// Which instruction sets this build has and this processor runs.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernels.h"

namespace facegen::cpu {

// Best first; with products of float32 numbers or as accurate as theirs.
std::vector<const Kernels*> available_kernels();

// Those of precision="bfloat16", each called like an instruction set above, "_bfloat16" behind it.
std::vector<const Kernels*> available_bfloat16_kernels();

// Those of binary layers on the processor of `kernels`: AVX-512's are better where it has VPOPCNTDQ.
const BinaryKernels& binary_kernels(const Kernels& kernels);

// The named kernels; an empty name means FACEGEN_ISA from the environment, or the best, of
// available_kernels().
// Throws std::invalid_argument with the choices when it is unknown or this processor lacks it.
const Kernels& choose_kernels(const std::string& isa);

}  // namespace facegen::cpu
