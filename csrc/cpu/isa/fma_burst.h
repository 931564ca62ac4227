// Independent fused multiply-adds on as many registers as there are: the FMA ceiling.
#pragma once

#include "isa/vec.h"

namespace {

// Returns the floating-point operations done (a multiply-add is 2).
double fma_burst() {
#if defined(__x86_64__) || defined(__i386__)
#define FACEGEN_VECTOR "x"
#elif defined(__aarch64__)
#define FACEGEN_VECTOR "w"
#else
#define FACEGEN_VECTOR "m"
#endif
  // A latency of 4 on 2 units needs 8, on the 4 units of some ARM cores 16; 12 fit 16 registers.
  constexpr int kChains = kRegisters == 32 ? 16 : 12;
  constexpr int kRounds = 100000;
  Vec chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  Vec a = broadcast(0.999f), b = broadcast(1e-3f);
  for (int round = 0; round < kRounds; ++round) {
    // Keeps the compiler from solving the recurrence.
    asm volatile("" : "+" FACEGEN_VECTOR(a), "+" FACEGEN_VECTOR(b));
    FACEGEN_UNROLL_ALL
    for (int i = 0; i < kChains; ++i) chain[i] = multiply_add(chain[i], a, b);
  }
  Vec sum = {};
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  asm volatile("" : : FACEGEN_VECTOR(sum));
#undef FACEGEN_VECTOR
  return 2.0 * kLanes * kChains * kRounds;
}

}  // namespace
