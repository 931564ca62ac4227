// The few PTX instructions of Hopper (sm_90a) that C++ has no words for: mbarriers, the bulk copy
// engine (TMA), warpgroup matrix products (wgmma) and register reallocation.
//
// Terms: a warpgroup is 4 warps in step; an mbarrier counts arrivals and bytes, and its phase bit
// flips when both are complete; a matrix descriptor tells wgmma where a tile lies in shared memory.
#pragma once

#include <cuda.h>

#include <cstdint>

namespace facegen::cuda::ptx {

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// --- mbarriers ---------------------------------------------------------------------------------

__device__ inline void barrier_init(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

// Makes initialised barriers visible to the copy engine.
__device__ inline void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ inline void barrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ inline void barrier_arrive_expect(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}

// Returns once the phase of this parity is over.
__device__ inline void barrier_wait(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra finished;\n"
      "bra again;\n"
      "finished:\n"
      "}\n" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// --- bulk copies to shared memory, reported to an mbarrier ------------------------------------

// A box of a (plane, n, y, x, c) tensor; what lies outside the tensor arrives as zeros.
__device__ inline void copy_box(uint32_t to, const CUtensorMap* map, uint32_t barrier, int c, int x,
                                int y, int n, int plane) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(to),
      "l"(map), "r"(barrier), "r"(c), "r"(x), "r"(y), "r"(n), "r"(plane)
      : "memory");
}

__device__ inline void copy_bytes(uint32_t to, const void* from, uint32_t bytes, uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}

// Towards the L2 cache; `bytes` a multiple of 16.
__device__ inline void prefetch_bytes(const void* from, uint32_t bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}

__device__ inline void prefetch_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

// 16 bytes at once. (An assignment of a uint4 is at times compiled to four stores.)
__device__ inline void store16(void* to, const uint32_t (&v)[4]) {
  asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(v[0]), "r"(v[1]),
               "r"(v[2]), "r"(v[3])
               : "memory");
}

// 4 floats from the L2 cache, or zeros unless `present`. Without a branch, so that many are on their way
// at once.
__device__ inline float4 load16_if(bool present, const void* from) {
  float4 v = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  asm volatile(
      "{\n"
      ".reg .pred present;\n"
      "setp.ne.b32 present, %5, 0;\n"
      "@present ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];\n"
      "}\n"
      : "+f"(v.x), "+f"(v.y), "+f"(v.z), "+f"(v.w)
      : "l"(from), "r"(static_cast<int>(present))
      : "memory");
  return v;
}

// 16, 8 and 4 bytes from shared memory, in the order of the products around them.
__device__ inline uint4 load_shared16(uint32_t from) {
  uint4 v;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(from)
               : "memory");
  return v;
}

__device__ inline void load_shared8(uint32_t from, uint32_t& a, uint32_t& b) {
  asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(a), "=r"(b) : "r"(from) : "memory");
}

__device__ inline void load_shared4(uint32_t from, uint32_t& a) {
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(a) : "r"(from) : "memory");
}

// From shared to device memory; addresses and `bytes` multiples of 16. The thread that starts copies
// also waits until they have been read, or are complete.
__device__ inline void copy_out(void* to, uint32_t from, uint32_t bytes) {
  asm volatile(
      "cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;\n"
      "cp.async.bulk.commit_group;" ::"l"(to),
      "r"(from), "r"(bytes)
      : "memory");
}

__device__ inline void wait_for_reads_of_copies() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

__device__ inline void wait_for_copies_out() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

// The larger, or NaN if one is NaN.
__device__ inline float max_or_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

// Makes this thread's stores to shared memory visible to wgmma and the copy engine.
__device__ inline void fence_async_proxy() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// A barrier of `threads` threads; number 0 is __syncthreads.
__device__ inline void sync_threads(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// --- overlapping kernels --------------------------------------------------------------------

// Lets the next kernel of the stream start (see launch.h) once all CTAs of this one have.
__device__ inline void let_next_step_start() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// The same, and waits until all steps before this one are complete and their results visible. Every
// thread must call it before it touches activations.
__device__ inline void wait_for_steps_before() {
  let_next_step_start();
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

// --- registers -----------------------------------------------------------------------------------

template <int kRegisters>
__device__ inline void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

template <int kRegisters>
__device__ inline void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// --- matrix products of a warpgroup -----------------------------------------------------------

// A tile of rows of 128 bytes (64 16-bit values along K), 128-byte swizzle: the 16-byte unit u of
// row r is stored at r * 128 + (u ^ r % 8) * 16, and 8 rows (1,024 bytes) are one swizzle atom.
// A step of 16 along K adds 32 bytes (2 in the descriptor's units of 16 bytes).
__device__ inline uint64_t tile_descriptor(uint32_t address) {
  constexpr uint64_t kSwizzle128 = uint64_t{1} << 62;
  constexpr uint64_t kAtomStride = uint64_t{1024 >> 4} << 32;
  constexpr uint64_t kUnused = uint64_t{1} << 16;  // leading stride: not read with this swizzle
  return kSwizzle128 | kAtomStride | kUnused | ((address & 0x3FFFF) >> 4);
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

#define FACEGEN_ACC4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define FACEGEN_ACC16(d, i)                                                                        \
  FACEGEN_ACC4(d, i), FACEGEN_ACC4(d, i + 4), FACEGEN_ACC4(d, i + 8), FACEGEN_ACC4(d, i + 12)
#define FACEGEN_WGMMA_32(TYPE)                                                                     \
    asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32." TYPE "." TYPE " "                   \
        "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                        \
        "%8, %9, %10, %11, %12, %13, %14, %15}, "                                                  \
        "%16, %17, 1, 1, 1, 0, 0;\n"                                                               \
        : FACEGEN_ACC16(d, 0)                                                                      \
        : "l"(a), "l"(b))

#define FACEGEN_WGMMA_48(TYPE)                                                                     \
    asm volatile("wgmma.mma_async.sync.aligned.m64n48k16.f32." TYPE "." TYPE " "                   \
        "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                        \
        "%8, %9, %10, %11, %12, %13, %14, %15, "                                                   \
        "%16, %17, %18, %19, %20, %21, %22, %23}, "                                                \
        "%24, %25, 1, 1, 1, 0, 0;\n"                                                               \
        : FACEGEN_ACC16(d, 0), FACEGEN_ACC4(d, 16), FACEGEN_ACC4(d, 20)                            \
        : "l"(a), "l"(b))

#define FACEGEN_WGMMA_64(TYPE)                                                                     \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " "                   \
        "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                        \
        "%8, %9, %10, %11, %12, %13, %14, %15, "                                                   \
        "%16, %17, %18, %19, %20, %21, %22, %23, "                                                 \
        "%24, %25, %26, %27, %28, %29, %30, %31}, "                                                \
        "%32, %33, 1, 1, 1, 0, 0;\n"                                                               \
        : FACEGEN_ACC16(d, 0), FACEGEN_ACC16(d, 16)                                                \
        : "l"(a), "l"(b))

#define FACEGEN_WGMMA_80(TYPE)                                                                     \
    asm volatile("wgmma.mma_async.sync.aligned.m64n80k16.f32." TYPE "." TYPE " "                   \
        "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                        \
        "%8, %9, %10, %11, %12, %13, %14, %15, "                                                   \
        "%16, %17, %18, %19, %20, %21, %22, %23, "                                                 \
        "%24, %25, %26, %27, %28, %29, %30, %31, "                                                 \
        "%32, %33, %34, %35, %36, %37, %38, %39}, "                                                \
        "%40, %41, 1, 1, 1, 0, 0;\n"                                                               \
        : FACEGEN_ACC16(d, 0), FACEGEN_ACC16(d, 16), FACEGEN_ACC4(d, 32), FACEGEN_ACC4(d, 36)      \
        : "l"(a), "l"(b))

#define FACEGEN_WGMMA_128(TYPE)                                                                    \
    asm volatile("wgmma.mma_async.sync.aligned.m64n128k16.f32." TYPE "." TYPE " "                  \
        "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                        \
        "%8, %9, %10, %11, %12, %13, %14, %15, "                                                   \
        "%16, %17, %18, %19, %20, %21, %22, %23, "                                                 \
        "%24, %25, %26, %27, %28, %29, %30, %31, "                                                 \
        "%32, %33, %34, %35, %36, %37, %38, %39, "                                                 \
        "%40, %41, %42, %43, %44, %45, %46, %47, "                                                 \
        "%48, %49, %50, %51, %52, %53, %54, %55, "                                                 \
        "%56, %57, %58, %59, %60, %61, %62, %63}, "                                                \
        "%64, %65, 1, 1, 1, 0, 0;\n"                                                               \
        : FACEGEN_ACC16(d, 0), FACEGEN_ACC16(d, 16),                                               \
          FACEGEN_ACC16(d, 32), FACEGEN_ACC16(d, 48)                                               \
        : "l"(a), "l"(b))

#define FACEGEN_WGMMA_256(TYPE)                                                                    \
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32." TYPE "." TYPE " "                  \
        "{%0, %1, %2, %3, %4, %5, %6, %7, "                                                        \
        "%8, %9, %10, %11, %12, %13, %14, %15, "                                                   \
        "%16, %17, %18, %19, %20, %21, %22, %23, "                                                 \
        "%24, %25, %26, %27, %28, %29, %30, %31, "                                                 \
        "%32, %33, %34, %35, %36, %37, %38, %39, "                                                 \
        "%40, %41, %42, %43, %44, %45, %46, %47, "                                                 \
        "%48, %49, %50, %51, %52, %53, %54, %55, "                                                 \
        "%56, %57, %58, %59, %60, %61, %62, %63, "                                                 \
        "%64, %65, %66, %67, %68, %69, %70, %71, "                                                 \
        "%72, %73, %74, %75, %76, %77, %78, %79, "                                                 \
        "%80, %81, %82, %83, %84, %85, %86, %87, "                                                 \
        "%88, %89, %90, %91, %92, %93, %94, %95, "                                                 \
        "%96, %97, %98, %99, %100, %101, %102, %103, "                                             \
        "%104, %105, %106, %107, %108, %109, %110, %111, "                                         \
        "%112, %113, %114, %115, %116, %117, %118, %119, "                                         \
        "%120, %121, %122, %123, %124, %125, %126, %127}, "                                        \
        "%128, %129, 1, 1, 1, 0, 0;\n"                                                             \
        : FACEGEN_ACC16(d, 0), FACEGEN_ACC16(d, 16),                                               \
          FACEGEN_ACC16(d, 32), FACEGEN_ACC16(d, 48),                                              \
          FACEGEN_ACC16(d, 64), FACEGEN_ACC16(d, 80),                                              \
          FACEGEN_ACC16(d, 96), FACEGEN_ACC16(d, 112)                                              \
        : "l"(a), "l"(b))

// d (64 x kColumns, this thread's kColumns / 2 values) += a (64 x 16) * b (kColumns x 16)^T,
// bfloat16 or float16 operands by descriptor, float32 sums.
template <int kColumns, bool kHalf>
__device__ inline void wgmma(float* d, uint64_t a, uint64_t b) {
  static_assert(kColumns == 32 || kColumns == 48 || kColumns == 64 || kColumns == 80 ||
                kColumns == 128 || kColumns == 256);
  if constexpr (kColumns == 32 && kHalf) FACEGEN_WGMMA_32("f16");
  if constexpr (kColumns == 32 && !kHalf) FACEGEN_WGMMA_32("bf16");
  if constexpr (kColumns == 48 && kHalf) FACEGEN_WGMMA_48("f16");
  if constexpr (kColumns == 48 && !kHalf) FACEGEN_WGMMA_48("bf16");
  if constexpr (kColumns == 64 && kHalf) FACEGEN_WGMMA_64("f16");
  if constexpr (kColumns == 64 && !kHalf) FACEGEN_WGMMA_64("bf16");
  if constexpr (kColumns == 80 && kHalf) FACEGEN_WGMMA_80("f16");
  if constexpr (kColumns == 80 && !kHalf) FACEGEN_WGMMA_80("bf16");
  if constexpr (kColumns == 128 && kHalf) FACEGEN_WGMMA_128("f16");
  if constexpr (kColumns == 128 && !kHalf) FACEGEN_WGMMA_128("bf16");
  if constexpr (kColumns == 256 && kHalf) FACEGEN_WGMMA_256("f16");
  if constexpr (kColumns == 256 && !kHalf) FACEGEN_WGMMA_256("bf16");
}

#undef FACEGEN_ACC4
#undef FACEGEN_ACC16
#undef FACEGEN_WGMMA_32
#undef FACEGEN_WGMMA_48
#undef FACEGEN_WGMMA_64
#undef FACEGEN_WGMMA_80
#undef FACEGEN_WGMMA_128
#undef FACEGEN_WGMMA_256

}  // namespace facegen::cuda::ptx
