// What the GEMM tests go over: every instruction set that runs here, in float32 and in bfloat16, and
// the kernels of AMX on an emulated unit where there is AVX-512.
#pragma once

#include <string>
#include <vector>

#include "cpu/dispatch.h"
#include "cpu/kernels.h"

namespace facegen::cpu {

#ifdef FACEGEN_TEST_EMULATED_AMX
const Kernels* amx_emulated_kernels();
const Kernels* amx_emulated_bfloat16_kernels();
#endif

}  // namespace facegen::cpu

namespace facegen::test {

inline std::vector<const cpu::Kernels*> all_kernels() {
  std::vector<const cpu::Kernels*> kernels = cpu::available_kernels();
  const auto more = cpu::available_bfloat16_kernels();
  kernels.insert(kernels.end(), more.begin(), more.end());
#ifdef FACEGEN_TEST_EMULATED_AMX
  for (const cpu::Kernels* here : cpu::available_kernels()) {
    if (here->isa != std::string("avx512")) continue;
    kernels.push_back(cpu::amx_emulated_kernels());
    kernels.push_back(cpu::amx_emulated_bfloat16_kernels());
  }
#endif
  return kernels;
}

}  // namespace facegen::test
