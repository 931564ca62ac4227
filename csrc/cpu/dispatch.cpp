#include "cpu/dispatch.h"

#include <cstddef>
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

[[maybe_unused]] bool always() { return true; }
[[maybe_unused]] bool never() { return false; }

#if defined(__x86_64__)

// What the processor has, and whether the system saves its wide registers. __builtin_cpu_supports
// would say so too, but not with every compiler's run-time library: zig's knows of nothing.
struct Processor {
  unsigned leaf1_ecx = 0, leaf7_ebx = 0, leaf7_ecx = 0, leaf7_edx = 0, leaf7_1_eax = 0;
  unsigned saved = 0;  // XCR0: the registers that the system saves

  Processor() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(1, &a, &b, &c, &d)) leaf1_ecx = c;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
      leaf7_ebx = b;
      leaf7_ecx = c;
      leaf7_edx = d;
      if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) leaf7_1_eax = a;
    }
    constexpr unsigned kXgetbv = 1u << 27;  // OSXSAVE
    if (leaf1_ecx & kXgetbv) asm volatile("xgetbv" : "=a"(saved), "=d"(d) : "c"(0));
  }
};

bool all(unsigned bits, unsigned of) { return (bits & of) == of; }

bool has_avx2() {
  constexpr unsigned kFma = 1u << 12, kAvx = 1u << 28, kAvx2 = 1u << 5, kYmm = 0x6;
  const Processor here;
  return all(here.leaf1_ecx, kFma | kAvx) && all(here.leaf7_ebx, kAvx2) && all(here.saved, kYmm);
}

bool has_avx512() {
  constexpr unsigned kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31, kZmm = 0xe6;
  const Processor here;
  return has_avx2() && all(here.leaf7_ebx, kF | kDq | kBw | kVl) && all(here.saved, kZmm);
}

bool has_popcount() {
  constexpr unsigned kVpopcntdq = 1u << 14;
  const Processor here;
  return has_avx512() && all(here.leaf7_ecx, kVpopcntdq);
}

// AMX with bfloat16 and 8-bit integers. It has 8 KiB of registers, which Linux gives a process only on request.
bool has_amx() {
#if defined(__linux__)
  constexpr unsigned kAvx512Bf16 = 1u << 5;
  constexpr unsigned kAmxBf16 = 1u << 22, kAmxTile = 1u << 24, kAmxInt8 = 1u << 25;
  const Processor here;
  if (!has_avx512() || !all(here.leaf7_1_eax, kAvx512Bf16)) return false;
  if (!all(here.leaf7_edx, kAmxBf16 | kAmxTile | kAmxInt8)) return false;
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
constexpr Entry kBfloat16[] = {{amx_bfloat16_kernels, has_amx}};

#elif defined(__aarch64__)

// NEON with fused multiply-adds is part of the architecture.
constexpr Entry kBestFirst[] = {{neon_kernels, always}, {portable_kernels, always}};
constexpr Entry kBfloat16[] = {{nullptr, never}};

#else

constexpr Entry kBestFirst[] = {{portable_kernels, always}};
constexpr Entry kBfloat16[] = {{nullptr, never}};

#endif

template <std::size_t Count>
std::vector<const Kernels*> those_that_run_here(const Entry (&entries)[Count]) {
  std::vector<const Kernels*> result;
  for (const Entry& entry : entries) {
    if (entry.runs_here()) result.push_back(entry.kernels());
  }
  return result;
}

}  // namespace

const BinaryKernels& binary_kernels(const Kernels& kernels) {
#if defined(__x86_64__)
  static const bool popcount = has_popcount();
  if (popcount && kernels.isa == std::string("avx512")) return *binary_popcount_kernels();
#endif
  return *kernels.binary;
}

// The processor is asked once: in a virtual machine each question may take 10 us, and there are 20.
std::vector<const Kernels*> available_kernels() {
  static const std::vector<const Kernels*> found = those_that_run_here(kBestFirst);
  return found;
}

std::vector<const Kernels*> available_bfloat16_kernels() {
  static const std::vector<const Kernels*> found = those_that_run_here(kBfloat16);
  return found;
}

const Kernels& choose_kernels(const std::string& isa) {
  const char* variable = std::getenv("FACEGEN_ISA");
  const bool from_variable = isa.empty() && variable != nullptr && *variable != '\0';
  const std::string wanted = from_variable ? variable : isa;
  auto available = available_kernels();
  if (wanted.empty()) return *available.front();
  if (!from_variable) {
    const auto more = available_bfloat16_kernels();
    available.insert(available.end(), more.begin(), more.end());
  }
  std::string choices;
  for (const Kernels* kernels : available) {
    if (wanted == kernels->isa) return *kernels;
    choices += (choices.empty() ? "" : ", ") + std::string(kernels->isa);
  }
  throw std::invalid_argument((from_variable ? "FACEGEN_ISA=" : "instruction set ") + wanted +
                              " is not available here; expected one of: " + choices);
}

}  // namespace facegen::cpu
