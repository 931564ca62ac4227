// Matrix products of a warpgroup (wgmma), with A in shared memory or in registers. sm_90a alone.
// A matrix descriptor says where a tile lies in shared memory.
#pragma once

#include <cstdint>

namespace facegen::cuda::ptx {

// A tile of rows of 128 bytes (64 16-bit values along K), 128-byte swizzle: the 16-byte unit u of
// row r is stored at r * 128 + (u ^ r % 8) * 16, and 8 rows (1,024 bytes) are one swizzle atom.
// A step of 16 along K adds 32 bytes (2 in the descriptor's units of 16 bytes).
__device__ inline uint64_t tile_descriptor(uint32_t address) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kAtomStride = uint64_t{1024 >> 4} << 32;
  constexpr uint64_t kUnused = uint64_t{1} << 16;  // leading stride: not read with this swizzle
  return kSwizzle128 | kAtomStride | kUnused | ((address & 0x3FFFF) >> 4);
}

// A tile whose rows of 128 bytes are 64 values along M or N, one row a value of K: with the same swizzle,
// as the copy engine brings pixels of 64 channels. Blocks of 64 along M or N, of 64 rows each, follow one
// another (8 KiB); a step of 16 along K adds 16 rows (2,048 bytes, 128 in the descriptor's units).
__device__ inline uint64_t transposed_descriptor(uint32_t address) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kAtomStride = uint64_t{1024 >> 4} << 32;
  constexpr uint64_t kBlockStride = uint64_t{8192 >> 4} << 16;
  return kSwizzle128 | kAtomStride | kBlockStride | ((address & 0x3FFFF) >> 4);
}

__device__ inline void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ inline void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Waits until at most kPending committed groups are unfinished.
template <int kPending>
__device__ inline void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// FACEGEN_NAMES_N are the numbers of an instruction's N sums, FACEGEN_SUMS_N these as its operands.
#define FACEGEN_NAMES_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define FACEGEN_NAMES_16 FACEGEN_NAMES_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define FACEGEN_NAMES_24 FACEGEN_NAMES_16 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define FACEGEN_NAMES_32 FACEGEN_NAMES_24 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define FACEGEN_NAMES_40 FACEGEN_NAMES_32 ", %32, %33, %34, %35, %36, %37, %38, %39"
#define FACEGEN_NAMES_44 FACEGEN_NAMES_40 ", %40, %41, %42, %43"
#define FACEGEN_NAMES_48 FACEGEN_NAMES_44 ", %44, %45, %46, %47"
#define FACEGEN_NAMES_64 \
  FACEGEN_NAMES_48 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define FACEGEN_NAMES_128 FACEGEN_NAMES_64 \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95" \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define FACEGEN_4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FACEGEN_8(d, i) FACEGEN_4(d, i), FACEGEN_4(d, i + 4)
#define FACEGEN_16(d, i) FACEGEN_8(d, i), FACEGEN_8(d, i + 8)
#define FACEGEN_SUMS_8(d) FACEGEN_8(d, 0)
#define FACEGEN_SUMS_16(d) FACEGEN_SUMS_8(d), FACEGEN_8(d, 8)
#define FACEGEN_SUMS_24(d) FACEGEN_SUMS_16(d), FACEGEN_8(d, 16)
#define FACEGEN_SUMS_32(d) FACEGEN_SUMS_24(d), FACEGEN_8(d, 24)
#define FACEGEN_SUMS_40(d) FACEGEN_SUMS_32(d), FACEGEN_8(d, 32)
#define FACEGEN_SUMS_44(d) FACEGEN_SUMS_40(d), FACEGEN_4(d, 40)
#define FACEGEN_SUMS_48(d) FACEGEN_SUMS_44(d), FACEGEN_4(d, 44)
#define FACEGEN_SUMS_64(d) FACEGEN_SUMS_48(d), FACEGEN_16(d, 48)
#define FACEGEN_SUMS_128(d) \
  FACEGEN_SUMS_64(d), FACEGEN_16(d, 64), FACEGEN_16(d, 80), FACEGEN_16(d, 96), FACEGEN_16(d, 112)

// A_B: the numbers of a and b, which are the other operands. MAJORS: for each matrix in shared memory, 1
// if its tile is a transposed one.
#define FACEGEN_WGMMA_OF(TYPE, COLUMNS, SUMS, A_B, MAJORS, ...)                                    \
  asm volatile("wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32." TYPE "." TYPE               \
               " {" FACEGEN_NAMES_##SUMS "}, " A_B ", 1, 1, 1, " MAJORS ";\n"                      \
               : FACEGEN_SUMS_##SUMS(d)                                                            \
               : __VA_ARGS__)
#define FACEGEN_WGMMA(...)                                                                         \
  do {                                                                                             \
    if constexpr (kHalf) FACEGEN_WGMMA_OF("f16", __VA_ARGS__);                                     \
    else FACEGEN_WGMMA_OF("bf16", __VA_ARGS__);                                                    \
  } while (false)
#define FACEGEN_SHARED(COLUMNS, SUMS, A_B)                                                         \
  do {                                                                                             \
    if constexpr (kTransposed == Transposed::kNone)                                                \
      FACEGEN_WGMMA(COLUMNS, SUMS, A_B, "0, 0", "l"(a), "l"(b));                                   \
    else if constexpr (kTransposed == Transposed::kB)                                              \
      FACEGEN_WGMMA(COLUMNS, SUMS, A_B, "0, 1", "l"(a), "l"(b));                                   \
    else FACEGEN_WGMMA(COLUMNS, SUMS, A_B, "1, 1", "l"(a), "l"(b));                                \
  } while (false)
#define FACEGEN_REGISTERS(COLUMNS, SUMS, A_B) \
  FACEGEN_WGMMA(COLUMNS, SUMS, A_B, "0", "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b))

// Which operands' tiles have rows along M or N.
enum class Transposed { kNone, kB, kBoth };

// d (64 x kColumns, this thread's kColumns / 2 values) += a (64 x 16) * b (kColumns x 16)^T,
// bfloat16 or float16 operands by descriptor, float32 sums.
template <int kColumns, bool kHalf, Transposed kTransposed = Transposed::kNone>
__device__ inline void wgmma(float* d, uint64_t a, uint64_t b) {
  static_assert(kColumns == 32 || kColumns == 48 || kColumns == 64 || kColumns == 80 ||
                kColumns == 128 || kColumns == 256);
  if constexpr (kColumns == 32) FACEGEN_SHARED(32, 16, "%16, %17");
  if constexpr (kColumns == 48) FACEGEN_SHARED(48, 24, "%24, %25");
  if constexpr (kColumns == 64) FACEGEN_SHARED(64, 32, "%32, %33");
  if constexpr (kColumns == 80) FACEGEN_SHARED(80, 40, "%40, %41");
  if constexpr (kColumns == 128) FACEGEN_SHARED(128, 64, "%64, %65");
  if constexpr (kColumns == 256) FACEGEN_SHARED(256, 128, "%128, %129");
}

// The same product, with A in registers.
//
// In warp w of the warpgroup, lane 4 * g + q has of a: a[0], the pair of columns that starts at 2 * q
// of row 16 * w + g; a[1], that of row 16 * w + g + 8; a[2] and a[3], the pairs 8 columns on. Of d it
// has, for each 8 columns of b, two of row g, which start at 2 * q, then two of row g + 8.
template <int kColumns, bool kHalf>
__device__ __forceinline__ void wgmma_registers(float* d, const uint32_t* a, uint64_t b) {
  static_assert(kColumns == 16 || kColumns == 32 || kColumns == 64 || kColumns == 88 ||
                kColumns == 96 || kColumns == 128);
  if constexpr (kColumns == 16) FACEGEN_REGISTERS(16, 8, "{%8, %9, %10, %11}, %12");
  if constexpr (kColumns == 32) FACEGEN_REGISTERS(32, 16, "{%16, %17, %18, %19}, %20");
  if constexpr (kColumns == 64) FACEGEN_REGISTERS(64, 32, "{%32, %33, %34, %35}, %36");
  if constexpr (kColumns == 88) FACEGEN_REGISTERS(88, 44, "{%44, %45, %46, %47}, %48");
  if constexpr (kColumns == 96) FACEGEN_REGISTERS(96, 48, "{%48, %49, %50, %51}, %52");
  if constexpr (kColumns == 128) FACEGEN_REGISTERS(128, 64, "{%64, %65, %66, %67}, %68");
}

}  // namespace facegen::cuda::ptx
