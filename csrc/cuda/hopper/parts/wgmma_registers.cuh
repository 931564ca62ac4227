// wgmma with A in registers: see ptx.cuh.
#pragma once

#include <cstdint>

namespace facegen::cuda::ptx {

#define FACEGEN_ACC4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FACEGEN_ACC16(d, i)                                                                        \
  FACEGEN_ACC4(d, i), FACEGEN_ACC4(d, i + 4), FACEGEN_ACC4(d, i + 8), FACEGEN_ACC4(d, i + 12)

#define FACEGEN_WGMMA_REGISTERS_16(TYPE)                                                           \
  asm volatile("wgmma.mma_async.sync.aligned.m64n16k16.f32." TYPE "." TYPE " "                     \
      "{%0, %1, %2, %3, %4, %5, %6, %7}, "                                                         \
      "{%8, %9, %10, %11}, %12, 1, 1, 1, 0;\n"                                                     \
      : FACEGEN_ACC4(d, 0), FACEGEN_ACC4(d, 4)                                                     \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

#define FACEGEN_WGMMA_REGISTERS_32(TYPE)                                                           \
  asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32." TYPE "." TYPE " "                     \
      "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                          \
      "%8, %9, %10, %11, %12, %13, %14, %15}, "                                                    \
      "{%16, %17, %18, %19}, %20, 1, 1, 1, 0;\n"                                                   \
      : FACEGEN_ACC16(d, 0)                                                                        \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

#define FACEGEN_WGMMA_REGISTERS_64(TYPE)                                                           \
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " "                     \
      "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                          \
      "%8, %9, %10, %11, %12, %13, %14, %15, "                                                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, "                                                   \
      "%24, %25, %26, %27, %28, %29, %30, %31}, "                                                  \
      "{%32, %33, %34, %35}, %36, 1, 1, 1, 0;\n"                                                   \
      : FACEGEN_ACC16(d, 0), FACEGEN_ACC16(d, 16)                                                  \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

#define FACEGEN_WGMMA_REGISTERS_88(TYPE)                                                           \
  asm volatile("wgmma.mma_async.sync.aligned.m64n88k16.f32." TYPE "." TYPE " "                     \
      "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                          \
      "%8, %9, %10, %11, %12, %13, %14, %15, "                                                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, "                                                   \
      "%24, %25, %26, %27, %28, %29, %30, %31, "                                                   \
      "%32, %33, %34, %35, %36, %37, %38, %39, "                                                   \
      "%40, %41, %42, %43}, "                                                                      \
      "{%44, %45, %46, %47}, %48, 1, 1, 1, 0;\n"                                                   \
      : FACEGEN_ACC16(d, 0), FACEGEN_ACC16(d, 16), FACEGEN_ACC4(d, 32), FACEGEN_ACC4(d, 36),       \
        FACEGEN_ACC4(d, 40)                                                                        \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

#define FACEGEN_WGMMA_REGISTERS_96(TYPE)                                                           \
  asm volatile("wgmma.mma_async.sync.aligned.m64n96k16.f32." TYPE "." TYPE " "                     \
      "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                          \
      "%8, %9, %10, %11, %12, %13, %14, %15, "                                                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, "                                                   \
      "%24, %25, %26, %27, %28, %29, %30, %31, "                                                   \
      "%32, %33, %34, %35, %36, %37, %38, %39, "                                                   \
      "%40, %41, %42, %43, %44, %45, %46, %47}, "                                                  \
      "{%48, %49, %50, %51}, %52, 1, 1, 1, 0;\n"                                                   \
      : FACEGEN_ACC16(d, 0), FACEGEN_ACC16(d, 16), FACEGEN_ACC16(d, 32)                            \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

#define FACEGEN_WGMMA_REGISTERS_128(TYPE)                                                          \
  asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " "                    \
      "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                          \
      "%8, %9, %10, %11, %12, %13, %14, %15, "                                                     \
      "%16, %17, %18, %19, %20, %21, %22, %23, "                                                   \
      "%24, %25, %26, %27, %28, %29, %30, %31, "                                                   \
      "%32, %33, %34, %35, %36, %37, %38, %39, "                                                   \
      "%40, %41, %42, %43, %44, %45, %46, %47, "                                                   \
      "%48, %49, %50, %51, %52, %53, %54, %55, "                                                   \
      "%56, %57, %58, %59, %60, %61, %62, %63}, "                                                  \
      "{%64, %65, %66, %67}, %68, 1, 1, 1, 0;\n"                                                   \
      : FACEGEN_ACC16(d, 0), FACEGEN_ACC16(d, 16), FACEGEN_ACC16(d, 32), FACEGEN_ACC16(d, 48)      \
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

// d (64 x kColumns, this thread's kColumns / 2 values) += a (64 x 16) * b (kColumns x 16)^T.
//
// Of warp w of the warpgroup, lane 4 * g + q has of a: a[0], the pair of columns that starts at 2 * q
// of row 16 * w + g; a[1], of row 16 * w + g + 8; a[2] and a[3], the pairs 8 columns on. Of d, for
// each 8 columns of b: two of row g, which start at 2 * q, then two of row g + 8.
template <int kColumns, bool kHalf>
__device__ __forceinline__ void wgmma_registers(float* d, const uint32_t* a, uint64_t b) {
  static_assert(kColumns == 16 || kColumns == 32 || kColumns == 64 || kColumns == 88 ||
                kColumns == 96 || kColumns == 128);
  if constexpr (kColumns == 16 && kHalf) FACEGEN_WGMMA_REGISTERS_16("f16");
  if constexpr (kColumns == 16 && !kHalf) FACEGEN_WGMMA_REGISTERS_16("bf16");
  if constexpr (kColumns == 32 && kHalf) FACEGEN_WGMMA_REGISTERS_32("f16");
  if constexpr (kColumns == 32 && !kHalf) FACEGEN_WGMMA_REGISTERS_32("bf16");
  if constexpr (kColumns == 64 && kHalf) FACEGEN_WGMMA_REGISTERS_64("f16");
  if constexpr (kColumns == 64 && !kHalf) FACEGEN_WGMMA_REGISTERS_64("bf16");
  if constexpr (kColumns == 88 && kHalf) FACEGEN_WGMMA_REGISTERS_88("f16");
  if constexpr (kColumns == 88 && !kHalf) FACEGEN_WGMMA_REGISTERS_88("bf16");
  if constexpr (kColumns == 96 && kHalf) FACEGEN_WGMMA_REGISTERS_96("f16");
  if constexpr (kColumns == 96 && !kHalf) FACEGEN_WGMMA_REGISTERS_96("bf16");
  if constexpr (kColumns == 128 && kHalf) FACEGEN_WGMMA_REGISTERS_128("f16");
  if constexpr (kColumns == 128 && !kHalf) FACEGEN_WGMMA_REGISTERS_128("bf16");
}

#undef FACEGEN_ACC4
#undef FACEGEN_ACC16
#undef FACEGEN_WGMMA_REGISTERS_16
#undef FACEGEN_WGMMA_REGISTERS_32
#undef FACEGEN_WGMMA_REGISTERS_64
#undef FACEGEN_WGMMA_REGISTERS_88
#undef FACEGEN_WGMMA_REGISTERS_96
#undef FACEGEN_WGMMA_REGISTERS_128

}  // namespace facegen::cuda::ptx
