// One vector type for whatever this translation unit is compiled for.
//
// GCC's and Clang's vector extensions give operators on a native register, so one source serves
// AVX-512, AVX2, NEON and, as `portable`, any other processor. Everything here has internal linkage
// and no STL is included: an inline function compiled for AVX-512 must never be the copy that
// baseline code links to.
//
// Where something is added to a product, multiply_add says so, and the compiler may fuse nothing
// that is written apart (-ffp-contract=off in CMakeLists.txt). Its own choice would differ from one
// tile to the next, and from one release to the next: then the bits of a sum would depend on the
// tile that it is computed in.
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(FACEGEN_NEON)
#include <arm_neon.h>
#endif

// Written before a loop, these unroll it: `count` times, or as often as it runs, which is known.
#define FACEGEN_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define FACEGEN_UNROLL(count) FACEGEN_PRAGMA(clang loop unroll_count(count))
#define FACEGEN_UNROLL_ALL FACEGEN_PRAGMA(clang loop unroll(full))
#else
#define FACEGEN_UNROLL(count) FACEGEN_PRAGMA(GCC unroll count)
#define FACEGEN_UNROLL_ALL FACEGEN_PRAGMA(GCC unroll 16)
#endif

namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

#if defined(__AVX512F__) || defined(FACEGEN_NEON)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

typedef float Vec __attribute__((vector_size(kLanes * 4)));
typedef int32_t VecI __attribute__((vector_size(kLanes * 4)));
typedef float VecMemory __attribute__((vector_size(kLanes * 4), aligned(4), may_alias));

constexpr int kHalf = kLanes / 2;  // a register of doubles
typedef double VecD __attribute__((vector_size(kHalf * 8)));
typedef float HalfVec __attribute__((vector_size(kHalf * 4)));

inline Vec load(const float* p) { return *reinterpret_cast<const VecMemory*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<VecMemory*>(p) = v; }
inline Vec broadcast(float x) { return x - Vec{}; }

// a * b + c, rounded once; where the processor may lack the instruction, always twice.
#if defined(__AVX512F__)
inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline VecD multiply_add(VecD a, VecD b, VecD c) { return _mm512_fmadd_pd(a, b, c); }
#elif defined(__AVX2__)
inline Vec multiply_add(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline VecD multiply_add(VecD a, VecD b, VecD c) { return _mm256_fmadd_pd(a, b, c); }
#elif defined(FACEGEN_NEON)
inline Vec multiply_add(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
inline VecD multiply_add(VecD a, VecD b, VecD c) { return vfmaq_f64(c, a, b); }
#else
inline Vec multiply_add(Vec a, Vec b, Vec c) { return a * b + c; }
inline VecD multiply_add(VecD a, VecD b, VecD c) { return a * b + c; }
#endif
inline Vec multiply_add(float a, Vec b, Vec c) { return multiply_add(broadcast(a), b, c); }
inline Vec multiply_add(Vec a, Vec b, float c) { return multiply_add(a, b, broadcast(c)); }

// The first `count` lanes; the others are zero / left alone, and their memory is not touched. With
// masks this takes a cycle; a memcpy of unknown length is a call.
#if defined(__AVX512F__)
inline __mmask16 first_lanes(int count) { return static_cast<__mmask16>((1u << count) - 1); }
inline Vec load_part(const float* p, int count) {
  return _mm512_maskz_loadu_ps(first_lanes(count), p);
}
inline void store_part(float* p, Vec v, int count) {
  _mm512_mask_storeu_ps(p, first_lanes(count), v);
}
#elif defined(__AVX2__)
inline __m256i first_lanes(int count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline Vec load_part(const float* p, int count) {
  return _mm256_maskload_ps(p, first_lanes(count));
}
inline void store_part(float* p, Vec v, int count) {
  _mm256_maskstore_ps(p, first_lanes(count), v);
}
#else
inline Vec load_part(const float* p, int count) {
  Vec v = {};
  __builtin_memcpy(&v, p, static_cast<decltype(sizeof 0)>(count) * 4);
  return v;
}
inline void store_part(float* p, Vec v, int count) {
  __builtin_memcpy(p, &v, static_cast<decltype(sizeof 0)>(count) * 4);
}
#endif

// The same for lanes [first, first + count), which begin at p.
#if defined(__AVX512F__)
inline Vec load_lanes(const float* p, int first, int count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(first_lanes(count) << first), p - first);
}
inline void store_lanes(float* p, Vec v, int first, int count) {
  _mm512_mask_storeu_ps(p - first, static_cast<__mmask16>(first_lanes(count) << first), v);
}
#elif defined(__AVX2__)
inline __m256i lanes_from(int first, int count) {
  return _mm256_andnot_si256(first_lanes(first), first_lanes(first + count));
}
inline Vec load_lanes(const float* p, int first, int count) {
  return _mm256_maskload_ps(p - first, lanes_from(first, count));
}
inline void store_lanes(float* p, Vec v, int first, int count) {
  _mm256_maskstore_ps(p - first, lanes_from(first, count), v);
}
#else
inline Vec load_lanes(const float* p, int first, int count) {
  float lanes[kLanes] = {};
  for (int i = 0; i < count; ++i) lanes[first + i] = p[i];
  return load(lanes);
}
inline void store_lanes(float* p, Vec v, int first, int count) {
  for (int i = 0; i < count; ++i) p[i] = v[first + i];
}
#endif

// Calls body(offset, load, store) for each vector of a row, the last one partial. Tails go through
// the same arithmetic as full vectors, so a value does not depend on where in a row it stands.
template <typename Body>
inline void for_each_vector(int count, Body body) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    body(i, [](const float* p) { return load(p); }, [](float* p, Vec v) { store(p, v); });
  }
  if (i < count) {
    const int rest = count - i;
    body(
        i, [rest](const float* p) { return load_part(p, rest); },
        [rest](float* p, Vec v) { store_part(p, v, rest); });
  }
}

inline Vec to_float(VecI v) { return __builtin_convertvector(v, Vec); }
inline VecI to_int(Vec v) { return __builtin_convertvector(v, VecI); }  // truncates
inline Vec select(VecI mask, Vec a, Vec b) { return mask ? a : b; }

// Lane i is lane Lanes[i] of a and b, one behind the other.
#if defined(__clang__)
template <int... Lanes>
inline Vec shuffle(Vec a, Vec b) { return __builtin_shufflevector(a, b, Lanes...); }
#else
template <int... Lanes>
inline Vec shuffle(Vec a, Vec b) { return __builtin_shuffle(a, b, VecI{Lanes...}); }
#endif

// a > b ? a : b, in one instruction. (GCC 12 warns of _mm512_max_ps.)
#if defined(__AVX512F__)
inline Vec maximum(Vec a, Vec b) { return _mm512_maskz_max_ps(0xffff, a, b); }
inline bool any_nan(Vec v) { return _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q) != 0; }
#elif defined(__AVX2__)
inline Vec maximum(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline bool any_nan(Vec v) {
  return _mm256_movemask_ps(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)) != 0;
}
#else
inline Vec maximum(Vec a, Vec b) { return select(a > b, a, b); }
inline bool any_nan(Vec v) {
  bool found = false;
  for (int lane = 0; lane < kLanes; ++lane) found |= v[lane] != v[lane];
  return found;
}
#endif
inline Vec minimum(Vec a, Vec b) { return select(a < b, a, b); }

#if defined(__AVX512F__)
inline Vec sqrt(Vec x) { return _mm512_maskz_sqrt_ps(0xffff, x); }
#elif defined(__AVX2__)
inline Vec sqrt(Vec x) { return _mm256_sqrt_ps(x); }
#elif defined(FACEGEN_NEON)
inline Vec sqrt(Vec x) { return vsqrtq_f32(x); }
#else
inline Vec sqrt(Vec x) {
  for (int lane = 0; lane < kLanes; ++lane) x[lane] = __builtin_sqrtf(x[lane]);
  return x;
}
#endif

}  // namespace
