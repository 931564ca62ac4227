#include "cpu/dispatch.h"

#include <cstdlib>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace facegen::cpu {
namespace {

struct Entry {
  const Kernels* (*kernels)();
  bool (*runs_here)();
};

bool always() { return true; }

#if defined(__x86_64__)

// __builtin_cpu_supports asks the processor and, for the wide registers, the operating system.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

// AMX has 8 KiB of registers, which Linux gives a process only on request.
bool has_amx() {
#if defined(__linux__)
  if (!has_avx512() || !__builtin_cpu_supports("avx512bf16")) return false;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24;
  if ((d & kAmxBf16) == 0 || (d & kAmxTile) == 0) return false;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

constexpr Entry kBestFirst[] = {{amx_kernels, has_amx},
                                {avx512_kernels, has_avx512},
                                {avx2_kernels, has_avx2},
                                {portable_kernels, always}};

#elif defined(__aarch64__)

// NEON with fused multiply-adds is part of the architecture.
constexpr Entry kBestFirst[] = {{neon_kernels, always}, {portable_kernels, always}};

#else

constexpr Entry kBestFirst[] = {{portable_kernels, always}};

#endif

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
