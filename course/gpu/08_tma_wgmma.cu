// Rung 8: TMA and wgmma: whole boxes are brought, and multiplied straight from shared memory.
//
//   nvcc -O3 -std=c++17 -gencode=arch=compute_90a,code=sm_90a 08_tma_wgmma.cu -o rung && ./rung
//
//   a   128 pixels x 64 channels   one box of (n, y, x, c), moved by the tap: what lies outside of
//                                  the map arrives as zeros, which is the padding
//   b   128 columns x 64 channels  one box of (tap, column, c)
//   sums of 64 x 128 by each of two warpgroups: 4 products of 64 x 128 x 16 a step
//
// What changes: one thread starts a step's copies by two instructions, and no thread computes
// addresses. wgmma takes both operands by descriptors (where the tile lies, how it is swizzled), so
// that ldmatrix and its registers are gone. A copy reports its bytes to an mbarrier, whose phase ends
// when all are there.
//
// Error: as rung 7.
//
// Prediction for one H200: 520 TFLOPS, 1.5 times rung 7, 53% of 989. A step's products take 512 clocks.
// All wait for them, meet at a barrier, and only then is the slot filled again: some 150 clocks in
// which this block's tensor cores rest. A second block on the multiprocessor fills most of them, but
// both start and store at the same times.
#include "../../csrc/cuda/hopper/parts/ptx.cuh"
#include "../../csrc/cuda/hopper/parts/wgmma.cuh"
#include "../common/tensor_map.cuh"

namespace {

using namespace course;
namespace ptx = facegen::cuda::ptx;

constexpr int kTile = 128, kBlockChannels = 64, kThreads = 256;
constexpr int kSlots = 3, kSlotBytes = 2 * kTile * 128;  // of 32 KiB: two blocks a multiprocessor

struct Shared {
  char slots[kSlots][kSlotBytes];  // a, then b: rows of 128 bytes, swizzled
  uint64_t full[kSlots];
};

struct Arguments {
  Plan plan;
  Tiles tiles;
  CUtensorMap in, weights;
  float* out;
};

// sums (64 x 128) += a (64 x 64) * b (128 x 64)^T
__device__ __forceinline__ void multiply(float* sums, uint32_t a, uint32_t b) {
  const uint64_t a_tile = ptx::tile_descriptor(a), b_tile = ptx::tile_descriptor(b);
#pragma unroll
  for (int k = 0; k < kBlockChannels / 16; ++k) {  // 16 channels are 32 bytes, 2 units of a descriptor
    ptx::wgmma<kTile, false>(sums, a_tile + 2 * k, b_tile + 2 * k);
  }
}

__global__ void __launch_bounds__(kThreads, 2) tma_wgmma(const __grid_constant__ Arguments args) {
  extern __shared__ __align__(1024) char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const Plan& p = args.plan;
  const Tile tile = args.tiles.tile(p, blockIdx.x);
  const GpuPhase& phase = p.phase[tile.phase];
  const int steps = phase.tap_count() * (p.c / kBlockChannels);

  const auto fetch = [&](int s) {  // by one thread
    const Tap tap = p.taps[phase.first_tap + s / (p.c / kBlockChannels)];
    const int channel = s % (p.c / kBlockChannels) * kBlockChannels;
    const uint32_t slot = ptx::shared_address(shared.slots[s % kSlots]);
    const uint32_t full = ptx::shared_address(&shared.full[s % kSlots]);
    ptx::barrier_arrive_expect(full, kSlotBytes);
    ptx::copy_box(slot, &args.in, full, channel, tile.x + tap.dx, tile.y + tap.dy, tile.n, 0);
    ptx::copy_box(slot + kTile * 128, &args.weights, full, channel, tile.column, tap.weight, 0, 0);
  };

  if (threadIdx.x == 0) {
    for (uint64_t& full : shared.full) ptx::barrier_init(ptx::shared_address(&full), 1);
    ptx::barrier_init_fence();
    for (int s = 0; s < kSlots && s < steps; ++s) fetch(s);
  }
  __syncthreads();
  const int warpgroup = threadIdx.x / 128;
  float sums[kTile / 2] = {};
  for (int s = 0; s < steps; ++s) {
    // The slot's barrier has been through s / kSlots phases, and their parity alternates.
    ptx::barrier_wait(ptx::shared_address(&shared.full[s % kSlots]), s / kSlots % 2);
    const uint32_t a = ptx::shared_address(shared.slots[s % kSlots]);
    ptx::wgmma_fence();
    multiply(sums, a + warpgroup * 64 * 128, a + kTile * 128);
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>();
    __syncthreads();  // both warpgroups are done with the slot
    if (threadIdx.x == 0 && s + kSlots < steps) fetch(s + kSlots);
  }

  // Warp w of a warpgroup has rows 16 w on; its lane 4 g + q has columns 2 q and 2 q + 1 of each 8,
  // of rows g and g + 8.
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = threadIdx.x / 32 * 16 + lane / 4 + 8 * r;
    float* pixel = args.out + args.tiles.output_of(p, tile, row) + lane % 4 * 2;
#pragma unroll
    for (int j = 0; j < kTile / 8; ++j) {
      *reinterpret_cast<float2*>(pixel + 8 * j) = {sums[4 * j + 2 * r], sums[4 * j + 2 * r + 1]};
    }
  }
}

Launch prepare(const Plan& p, const Buffers& b) {
  allow_shared_memory(tma_wgmma, sizeof(Shared));
  const Tiles tiles = make_tiles(p, kTile, kTile);
  const Arguments args{p, tiles, input_map(p, b.in16, 1, tiles.box),
                       weight_map(p, b.weights16, 1, kTile), b.out};
  return [=] { tma_wgmma<<<tiles.count, kThreads, sizeof(Shared)>>>(args); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"08_tma_wgmma", Format::kBfloat16, prepare});
}
