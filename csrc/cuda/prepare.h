// A Program fitted to one GPU: how its buffers lie there, and the steps that this takes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/gemm.h"
#include "cuda/tensor.h"
#include "program.h"

namespace facegen::cuda {

struct PreparedProgram {
  std::vector<Step> steps;  // point to the same constants as the Program's
  std::vector<Buffer> buffers;
  std::vector<Layout> layouts;  // by buffer
  int64_t arena_floats;
};

// `kernels` as in Options (executable.h); `major`: compute capability.
PreparedProgram prepare(const Program& program, Precision precision, const std::string& kernels,
                        int major);

}  // namespace facegen::cuda
