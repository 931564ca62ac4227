#include <cstring>

#include "cpu/kernels.h"
#include "cpu/training/kernels.h"

namespace facegen::cpu {

const TrainingKernels& training_kernels(const Kernels& kernels) {
  const auto is = [&](const char* isa) { return std::strcmp(kernels.isa, isa) == 0; };
#if defined(__x86_64__)
  if (is("amx") || is("amx_bfloat16") || is("avx512")) return *avx512_training_kernels();
  if (is("avx2")) return *avx2_training_kernels();
#elif defined(__aarch64__)
  if (is("neon")) return *neon_training_kernels();
#endif
  (void)is;
  return *portable_training_kernels();
}

}  // namespace facegen::cpu
