// Which instruction sets this build has and this processor runs.
#pragma once

#include <string>
#include <vector>

#include "cpu/kernels.h"

namespace facegen::cpu {

// Best first.
std::vector<const Kernels*> available_kernels();

// The named instruction set; an empty name means FACEGEN_ISA from the environment, or the best.
// Throws std::invalid_argument with the choices when it is unknown or this processor lacks it.
const Kernels& choose_kernels(const std::string& isa);

}  // namespace facegen::cpu
