// A vector register of floats, as wide as the machine has (of -march=native).
//
// GCC's and Clang's vector extensions: +, * and so on work on all lanes, and a * b + c becomes one
// fused multiply-add where there is one.
#pragma once

#include <cstdint>

namespace course {

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 32;
#elif defined(__AVX__)
constexpr int kLanes = 8, kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRegisters = 32;
#else
constexpr int kLanes = 4, kRegisters = 16;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef float VecMemory __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const VecMemory*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<VecMemory*>(p) = v; }
inline Vec broadcast(float x) { return x - Vec{}; }

}  // namespace course

// Written before a loop whose length is known: its body once for each round.
#if defined(__clang__)
#define COURSE_UNROLL _Pragma("clang loop unroll(full)")
#else
#define COURSE_UNROLL _Pragma("GCC unroll 32")
#endif
