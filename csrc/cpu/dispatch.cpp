#include "cpu/dispatch.h"

#include <cstdlib>
#include <stdexcept>

namespace facegen::cpu {
namespace {

// __builtin_cpu_supports asks the processor and, for the wide registers, the operating system.
bool has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

bool has_avx512() {
#if defined(__x86_64__)
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

struct Entry {
  const Kernels* (*kernels)();
  bool (*runs_here)();
};

constexpr Entry kBestFirst[] = {
#if defined(__x86_64__)
    {avx512_kernels, has_avx512},
    {avx2_kernels, has_avx2},
#endif
    {portable_kernels, [] { return true; }},
};

}  // namespace

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> result;
  for (const Entry& entry : kBestFirst) {
    if (entry.runs_here()) result.push_back(entry.kernels());
  }
  return result;
}

const Kernels& choose_kernels(const std::string& isa) {
  const char* variable = std::getenv("FACEGEN_ISA");
  const bool from_variable = isa.empty() && variable != nullptr && *variable != '\0';
  const std::string wanted = from_variable ? variable : isa;
  const auto available = available_kernels();
  if (wanted.empty()) return *available.front();
  std::string choices;
  for (const Kernels* kernels : available) {
    if (wanted == kernels->isa) return *kernels;
    choices += (choices.empty() ? "" : ", ") + std::string(kernels->isa);
  }
  throw std::invalid_argument((from_variable ? "FACEGEN_ISA=" : "instruction set ") + wanted +
                              " is not available here; expected one of: " + choices);
}

}  // namespace facegen::cpu
