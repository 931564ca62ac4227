// The few PTX instructions of Hopper (sm_90a) that C++ has no words for: mbarriers, the bulk copy
// engine (TMA) and register reallocation; wgmma.cuh has the matrix products.
//
// Terms: a warpgroup is 4 warps in step; an mbarrier counts arrivals and bytes, and its phase bit
// flips when both are complete.
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

__device__ inline uint4 load16_bits_if(bool present, const void* from) {
  const float4 v = load16_if(present, from);
  return {__float_as_uint(v.x), __float_as_uint(v.y), __float_as_uint(v.z), __float_as_uint(v.w)};
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

// A box of a tensor of five axes, from shared memory; what lies outside the tensor is not stored. One of the
// copies that the next commit_copies makes a group.
__device__ inline void copy_box_out(const CUtensorMap* map, uint32_t from, const int (&at)[5]) {
  asm volatile(
      "cp.async.bulk.tensor.5d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5, %6}], [%1];" ::"l"(map),
      "r"(from), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4])
      : "memory");
}

// A group may have no copies.
__device__ inline void commit_copies() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

// Until no more than the last kLeft groups of this thread's copies may still read.
template <int kLeft = 0>
__device__ inline void wait_for_reads_of_copies() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kLeft) : "memory");
}

__device__ inline void wait_for_copies_out() {
  asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
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

}  // namespace facegen::cuda::ptx
