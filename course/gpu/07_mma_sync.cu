// Rung 7: mma.sync: the tensor cores multiply, bfloat16 operands, float32 sums.
//
//   nvcc -O3 -std=c++17 -arch=native 07_mma_sync.cu -o rung && ./rung
//
//   tile of a block   128 rows x 128 columns, 64 channels a step: rows of 128 bytes
//   tile of a warp     64 x 32: 4 x 4 products of 16 x 8 x 16, for which each lane has 4 words of a
//                      (of which ldmatrix loads 4 matrices of 8 x 8 at once), 2 of b, 4 sums
//   swizzle            unit u (16 bytes) of row r lies at u ^ r % 8: so the 8 rows of a matrix, which
//                      ldmatrix wants at once, lie in different banks
//
// What changes: a warp multiplies 16 x 8 x 16 by one instruction, not 32 numbers. Both operands have
// half the bytes. A ring of 3 slots keeps 2 steps on their way; one barrier a step.
//
// Error: each factor is rounded to 8 bits, by up to 2^-9; 2e-3 of the outputs' rms is usual, 1e-2
// the worst of many.
//
// Prediction for one H200: 350 TFLOPS, 7 times rung 6, 35% of 989. On Hopper mma.sync reaches about
// 60% of what wgmma does, 210 clocks for 16 channels of a tile. For these the 8 warps load 48 times 4
// matrices from shared memory, 512 bytes each: 192 clocks. Most of it overlaps.
#include "../common/gpu.cuh"

namespace {

using namespace course;

constexpr int kTile = 128, kChannels = 64, kThreads = 256, kSlots = 3;
constexpr int kSlotBytes = 2 * kTile * 128;  // a, then b
constexpr int kWarpRows = 64, kWarpColumns = 32;
constexpr int kM = kWarpRows / 16, kN = kWarpColumns / 8;  // products of a warp

// --- instructions ------------------------------------------------------------------------------

__device__ __forceinline__ uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}
__device__ __forceinline__ void copy16(uint32_t to, const uint16_t* from, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(present ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}
// 4 matrices of 8 rows of 16 bytes; lane 8 i + j says where row j of matrix i lies, and lane 4 g + q
// gets of each matrix the q-th pair of row g.
__device__ __forceinline__ void load_matrices(uint32_t from, uint32_t (&to)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(from)
               : "memory");
}
// d (16 x 8) += a (16 x 16) * b (8 x 16)^T
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], const uint32_t* b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// --- kernel --------------------------------------------------------------------------------------

__device__ __forceinline__ uint32_t swizzled(int row, int unit) {
  return row * 128 + ((unit ^ (row % 8)) << 4);
}

// Starts the copies of step s: a tap and 64 channels. A thread brings 4 units of a and 4 of b.
__device__ __forceinline__ void fetch(const Plan& p, const GpuPhase& phase, int s, const uint16_t* in,
                                      const uint16_t* weights, uint32_t slot) {
  const int steps_of_tap = p.c / kChannels, unit = threadIdx.x % 8;
  const Tap tap = p.taps[phase.first_tap + s / steps_of_tap];
  const int channel = s % steps_of_tap * kChannels + 8 * unit;
#pragma unroll
  for (int row = threadIdx.x / 8; row < kTile; row += kThreads / 8) {
    const int pixel = input_of(p, blockIdx.y * kTile + row, tap);
    copy16(slot + swizzled(row, unit), in + max(pixel, 0) + channel, pixel >= 0);
    const int column = tap.weight * p.k + blockIdx.x * kTile + row;
    copy16(slot + kTile * 128 + swizzled(row, unit), weights + column * p.c + channel, true);
  }
}

__global__ void __launch_bounds__(kThreads, 2)
    mma_sync(const __grid_constant__ Plan p, const uint16_t* in, const uint16_t* weights, float* out) {
  extern __shared__ __align__(1024) char slots[];
  const uint32_t ring = shared_address(slots);
  const GpuPhase& phase = p.phase[blockIdx.z];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int warp_row = warp / 4 * kWarpRows, warp_column = warp % 4 * kWarpColumns;
  const int steps = phase.tap_count() * (p.c / kChannels);
  float sums[kM][kN][4] = {};
  for (int s = 0; s < kSlots - 1; ++s) {
    fetch(p, phase, s, in, weights, ring + s * kSlotBytes);
    commit_copies();
  }
  for (int s = 0; s < steps; ++s) {
    wait_for_copies<kSlots - 2>();  // step s is here, as far as this thread's copies go
    __syncthreads();                // ... and all threads'; and all are done with step s - 1
    const int next = s + kSlots - 1;
    if (next < steps) fetch(p, phase, next, in, weights, ring + next % kSlots * kSlotBytes);
    commit_copies();
    const uint32_t a_tile = ring + s % kSlots * kSlotBytes, b_tile = a_tile + kTile * 128;
#pragma unroll
    for (int k = 0; k < kChannels / 16; ++k) {
      uint32_t a[kM][4], b[kN / 2][4];
#pragma unroll
      for (int i = 0; i < kM; ++i) {  // matrices: rows 0-7, rows 8-15, and both 8 channels on
        load_matrices(a_tile + swizzled(warp_row + 16 * i + lane % 16, 2 * k + lane / 16), a[i]);
      }
#pragma unroll
      for (int j = 0; j < kN / 2; ++j) {  // columns 0-7, the same 8 channels on, columns 8-15, ...
        const int column = warp_column + 16 * j + lane / 16 * 8 + lane % 8;
        load_matrices(b_tile + swizzled(column, 2 * k + lane / 8 % 2), b[j]);
      }
#pragma unroll
      for (int i = 0; i < kM; ++i) {
#pragma unroll
        for (int j = 0; j < kN; ++j) mma(sums[i][j], a[i], &b[j / 2][j % 2 * 2]);
      }
    }
  }
  // Lane 4 g + q has columns 2 q and 2 q + 1 of rows g and g + 8.
#pragma unroll
  for (int i = 0; i < 2 * kM; ++i) {
    const int row = blockIdx.y * kTile + warp_row + 8 * i + lane / 4;
    float* pixel = out + output_of(p, phase, row) + blockIdx.x * kTile + warp_column + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < kN; ++j) {
      const float* pair = &sums[i / 2][j][i % 2 * 2];
      *reinterpret_cast<float2*>(pixel + 8 * j) = {pair[0], pair[1]};
    }
  }
}

Launch prepare(const Plan& p, const Buffers& b) {
  constexpr int kBytes = kSlots * kSlotBytes;
  allow_shared_memory(mma_sync, kBytes);
  const dim3 grid(p.k / kTile, p.rows() / kTile, p.phases);
  return [=] { mma_sync<<<grid, kThreads, kBytes>>>(p, b.in16, b.weights16, b.out); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"07_mma_sync", Format::kBfloat16, prepare});
}
