// Products whose A goes from shared memory to registers: layers whose sums run over short rows of
// neighbouring elements, for which boxes of 64 channels would be nearly all padding.
//
// A row of the input lies in shared memory in units of 6 neighbouring elements (channels of a
// pixel, then of the next): 3 words of hi, 3 of lo, two elements a word. A tap of the sum is 24
// neighbouring elements, 4 units. wgmma wants A in registers so that a thread has two rows (pixels)
// and, of each 8 columns of A (places in the sum), the two that start at 2 * (lane % 4). The order
// of a sum is free, so lane % 4 = q takes the unit q of each tap, whose 6 elements are its share of
// 3 times 8 columns: no rows of A are built, and no thread loads what it does not multiply.
//
//   place 8 * slot + 2 * q + e of a sum  is  element 6 * q + 2 * (slot % 3) + e  of tap slot / 3
//
// B lies in shared memory as core matrices of 8 columns x 8 places (128 bytes, no swizzle):
//
//   (step of 16 places, plane, 8 columns, half of the step) -> 8 columns x 8 places
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/fit/shared_memory.h"
#include "cuda/fit/split.h"
#include "cuda/generic/element.cuh"
#include "cuda/hopper/parts/ptx.cuh"
#include "cuda/hopper/parts/wgmma.cuh"

namespace facegen::cuda::hopper {

// B as it lies in shared memory: weight(step, place, n) is that of a step's place (0 to 15) and of
// the n-th column.
template <class Weight>
std::vector<uint16_t> pack_steps(int steps, int columns, bool half, const Weight& weight) {
  const int planes = half ? 1 : 2;
  std::vector<uint16_t> packed(static_cast<std::size_t>(steps) * planes * columns * 16);
  for (int step = 0; step < steps; ++step) {
    for (int place = 0; place < 16; ++place) {
      for (int n = 0; n < columns; ++n) {
        const float value = weight(step, place, n);
        uint16_t* to = packed.data() + step * planes * columns * 16 + n / 8 * 128 +
                       place / 8 * 64 + n % 8 * 8 + place % 8;
        *to = half ? half_bits(value) : bfloat16_bits(value);
        if (!half) to[columns * 16] = bfloat16_bits(value - bfloat16_value(*to));
      }
    }
  }
  return packed;
}

// The same for sums over `taps`, with weight(tap, element, n).
template <class Weight>
std::vector<uint16_t> pack_taps(int taps, int columns, bool half, const Weight& weight) {
  return pack_steps(steps_of_taps(taps), columns, half, [&](int step, int place, int n) {
    const int slot = 2 * step + place / 8;
    const int element = kUnitElements * (place % 8 / 2) + 2 * (slot % kTapSlots) + place % 2;
    return slot < kTapSlots * taps ? weight(slot / kTapSlots, element, n) : 0.0f;
  });
}

// The channel that the n-th column of B should be for a thread to have 8 neighbouring channels of
// each 32.
inline int neighbouring_channel(int n) {
  return n / 32 * 32 + n % 8 / 2 * 8 + n % 32 / 8 * 2 + n % 2;
}

// Descriptors of B: the lower half says where it lies, the upper one is the same for all. So a sum's
// place in B is 32 bits wide, and half as many instructions find the next.
__device__ inline uint32_t core_matrices(uint32_t address) {
  constexpr uint32_t kAlongSum = uint32_t{128 >> 4} << 16;
  return kAlongSum | ((address & 0x3FFFF) >> 4);
}

__device__ inline uint64_t core_descriptor(uint32_t b) {
  constexpr uint64_t kAlongColumns = uint64_t{256 >> 4} << 32;
  return kAlongColumns | b;
}

// Activations are loaded with __ldcg, from the L2 cache: a kernel that starts while those before it
// still run (launch.h) must not find in the L1 cache what lay in their buffers' place
// before, and that is what __ldg's loads, which nothing orders, may do.

// Starts the copy of a block's weights; they are there when phase 0 of `arrived` is over. All
// threads of the block must call it.
__device__ inline void fetch_weights(uint64_t& arrived, char* to, const uint8_t* from, int bytes) {
  if (threadIdx.x == 0) {
    const uint32_t barrier = ptx::shared_address(&arrived);
    ptx::barrier_init(barrier, 1);
    ptx::barrier_init_fence();
    ptx::barrier_arrive_expect(barrier, static_cast<uint32_t>(bytes));
    ptx::copy_bytes(ptx::shared_address(to), from, static_cast<uint32_t>(bytes), barrier);
  }
  __syncthreads();
}

__device__ inline void wait_for_weights(const uint64_t& arrived) {
  ptx::barrier_wait(ptx::shared_address(&arrived), 0);
}

// Puts two neighbouring elements into a row; `pair`: their number in it.
template <bool kHalf>
__device__ __forceinline__ void store_pair(char* row, int pair, float x, float y) {
  auto* to = reinterpret_cast<uint32_t*>(row + pair / 3 * kUnitBytes) + pair % 3;
  uint32_t hi, lo;
  split_pair<kHalf>(x, y, hi, lo);
  to[0] = hi;
  if constexpr (!kHalf) to[3] = lo;
}

// A thread's share of a tap: its unit of two pixels, `second` bytes apart.
template <bool kHalf>
__device__ __forceinline__ void load_tap(uint32_t address, uint32_t second, uint32_t* hi,
                                         uint32_t* lo) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const uint32_t unit = address + r * second;
    ptx::load_shared8(unit, hi[r], hi[2 + r]);
    if constexpr (kHalf) {
      ptx::load_shared4(unit + 8, hi[4 + r]);
    } else {
      ptx::load_shared8(unit + 8, hi[4 + r], lo[r]);
      ptx::load_shared8(unit + 16, lo[2 + r], lo[4 + r]);
    }
  }
}

// sums += steps of 16 places, of hi * hi, lo * hi and hi * lo each.
template <int kColumns, bool kHalf, int kSteps>
__device__ __forceinline__ void multiply_steps(float (&sums)[kColumns / 2], const uint32_t* hi,
                                               const uint32_t* lo, uint32_t b) {
  constexpr int kPlane = kColumns * 32 >> 4;
  ptx::wgmma_fence();
#pragma unroll
  for (int k = 0; k < kSteps; ++k) {
    const uint32_t b_step = b + k * (step_bytes(kColumns, kHalf) >> 4);
    ptx::wgmma_registers<kColumns, kHalf>(sums, hi + 4 * k, core_descriptor(b_step));
    if constexpr (!kHalf) {
      ptx::wgmma_registers<kColumns, kHalf>(sums, lo + 4 * k, core_descriptor(b_step));
      ptx::wgmma_registers<kColumns, kHalf>(sums, hi + 4 * k, core_descriptor(b_step + kPlane));
    }
  }
  ptx::wgmma_commit();
  ptx::wgmma_wait<0>();
}

// sums += all taps; address(tap) is where the thread's unit of its first pixel lies. Other
// warpgroups multiply while this one loads: nothing is loaded ahead.
template <int kColumns, bool kHalf, class Address>
__device__ __forceinline__ void multiply_taps(float (&sums)[kColumns / 2], int taps, uint32_t second,
                                              uint32_t b, const Address& address) {
  uint32_t hi[4 * kTapSlots], lo[4 * kTapSlots];
#pragma unroll 1  // else the compiler puts the products one after another
  for (int tap = 0; tap + 1 < taps; tap += 2) {
    load_tap<kHalf>(address(tap), second, hi, lo);
    load_tap<kHalf>(address(tap + 1), second, hi + 2 * kTapSlots, lo + 2 * kTapSlots);
    multiply_steps<kColumns, kHalf, kTapSlots>(sums, hi, lo, b);
    b += kTapSlots * (step_bytes(kColumns, kHalf) >> 4);
  }
  if (taps % 2) {
    load_tap<kHalf>(address(taps - 1), second, hi, lo);
    hi[6] = hi[7] = lo[6] = lo[7] = 0;
    multiply_steps<kColumns, kHalf, 2>(sums, hi, lo, b);
  }
}

}  // namespace facegen::cuda::hopper
