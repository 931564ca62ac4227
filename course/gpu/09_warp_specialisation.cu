// Rung 9: warp specialisation: one warp brings tiles, two warpgroups multiply.
//
//   nvcc -O3 -std=c++17 -gencode=arch=compute_90a,code=sm_90a 09_warp_specialisation.cu -o rung && ./rung
//
//   producer     | fill 0 | fill 1 | fill 2 | fill 3 |   wait: 0 is empty   | fill 0 | ...
//   consumers             | use 0  | use 1  | use 2  | use 3  | use 0 ...       release 0, 1, ...
//
//   ring   4 slots of 48 KiB, each with a barrier `full` (bytes have come) and one `empty` (both
//          warpgroups have read it): a, 256 pixels x 64 channels | b, 128 columns x 64 channels
//   tile   256 x 128: 2 x 64 rows a warpgroup, 128 sums a thread. The producer gives its registers
//          to the consumers (setmaxnreg): 240 * 256 + 24 * 128 of 65,536
//
// Producer and consumers meet at a slot's barriers only, where one has to wait for the other.
//
// What changes: no barrier of all threads is left in the loop. The next step's products are started
// before those of the step before are complete. A block owns a multiprocessor and works through
// several tiles (a persistent kernel): the ring is filled for the next one while sums are stored. A
// tile twice as tall reads b half as often.
//
// Error: as rung 7.
//
// Prediction for one H200: 620 TFLOPS, 1.2 times rung 8, 63% of 989. Products are back to back, at
// what power allows, about 800 (989 at full clocks). A tile's stores, 128 KiB at 30 bytes a clock, are
// 4,400 clocks beside 36,900 of products: 11%, in which nothing multiplies. Padding, which is
// multiplied but not counted, takes 4% (of tconv2 14%). 256 tiles on 132 multiprocessors are 97% of
// two rounds each; tconv2's tiles, whose sums have four lengths, fill 93%.
#include "../../csrc/cuda/hopper/parts/ptx.cuh"
#include "../../csrc/cuda/hopper/parts/wgmma.cuh"
#include "../common/tensor_map.cuh"

namespace {

using namespace course;
namespace ptx = facegen::cuda::ptx;

constexpr int kRows = 256, kColumns = 128, kBlockChannels = 64;  // of a tile; channels of a step
constexpr int kRowTiles = 2;                             // of 64 rows, for each warpgroup
constexpr int kConsumers = 256, kThreads = kConsumers + 128;
constexpr int kSlots = 4, kSlotBytes = (kRows + kColumns) * 128;

struct Shared {
  char slots[kSlots][kSlotBytes];
  uint64_t full[kSlots], empty[kSlots];
};
static_assert(sizeof(Shared) <= 227 << 10, "the shared memory of a multiprocessor");

struct Arguments {
  Plan plan;
  Tiles tiles;
  CUtensorMap in, weights;
  float* out;
};

// A position in the ring, and the parity of its barriers' current phase.
struct Cursor {
  int slot = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++slot == kSlots) slot = 0, parity ^= 1;
  }
};

// By one thread, up to kSlots steps ahead of the consumers, also across tiles.
__device__ void produce(const Arguments& args, Shared& shared) {
  const Plan& p = args.plan;
  Cursor at;
  for_each_tile(p, args.tiles, [&](const Tile& tile) {
    const GpuPhase& phase = p.phase[tile.phase];
    for (int t = phase.first_tap; t < phase.first_tap + phase.tap_count(); ++t) {
      const Tap tap = p.taps[t];
      for (int channel = 0; channel < p.c; channel += kBlockChannels) {
        const uint32_t slot = ptx::shared_address(shared.slots[at.slot]);
        const uint32_t full = ptx::shared_address(&shared.full[at.slot]);
        // Of a barrier that has not been used, the phase before the first counts as over.
        ptx::barrier_wait(ptx::shared_address(&shared.empty[at.slot]), at.parity ^ 1);
        ptx::barrier_arrive_expect(full, kSlotBytes);
        ptx::copy_box(slot, &args.in, full, channel, tile.x + tap.dx, tile.y + tap.dy, tile.n, 0);
        ptx::copy_box(slot + kRows * 128, &args.weights, full, channel, tile.column, tap.weight, 0,
                      0);
        at.advance();
      }
    }
  });
}

__device__ void consume(const Arguments& args, Shared& shared) {
  const Plan& p = args.plan;
  const int warpgroup = threadIdx.x / 128, lane = threadIdx.x % 32;
  const int first_row = threadIdx.x / 128 * 128 + threadIdx.x / 32 % 4 * 16 + lane / 4;
  const auto release = [&](int slot) {  // once a warp
    if (lane == 0) ptx::barrier_arrive(ptx::shared_address(&shared.empty[slot]));
  };
  Cursor at;
  for_each_tile(p, args.tiles, [&](const Tile& tile) {
    const GpuPhase& phase = p.phase[tile.phase];
    float sums[kRowTiles][kColumns / 2] = {};
    int held = -1;  // the slot of the step whose products are under way
    for (int s = phase.tap_count() * (p.c / kBlockChannels); s > 0; --s) {
      ptx::barrier_wait(ptx::shared_address(&shared.full[at.slot]), at.parity);
      const uint32_t slot = ptx::shared_address(shared.slots[at.slot]);
      const uint64_t b = ptx::tile_descriptor(slot + kRows * 128);
      ptx::wgmma_fence();
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        const uint64_t a = ptx::tile_descriptor(slot + (kRowTiles * warpgroup + m) * 64 * 128);
#pragma unroll
        for (int k = 0; k < kBlockChannels / 16; ++k) {
          ptx::wgmma<kColumns, false>(sums[m], a + 2 * k, b + 2 * k);
        }
      }
      ptx::wgmma_commit();
      ptx::wgmma_wait<1>();  // the step before is complete
      if (held >= 0) release(held);
      held = at.slot;
      at.advance();
    }
    ptx::wgmma_wait<0>();
    release(held);
#pragma unroll
    for (int i = 0; i < 2 * kRowTiles; ++i) {
      const int row = first_row + 8 * i + i / 2 * 48;  // g, g + 8, then both 64 rows on
      float* pixel = args.out + args.tiles.output_of(p, tile, row) + lane % 4 * 2;
#pragma unroll
      for (int j = 0; j < kColumns / 8; ++j) {
        const float* pair = &sums[i / 2][4 * j + i % 2 * 2];
        *reinterpret_cast<float2*>(pixel + 8 * j) = {pair[0], pair[1]};
      }
    }
  });
}

__global__ void __launch_bounds__(kThreads, 1)
    warp_specialisation(const __grid_constant__ Arguments args) {
  extern __shared__ __align__(1024) char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  if (threadIdx.x == 0) {
    for (int s = 0; s < kSlots; ++s) {
      ptx::barrier_init(ptx::shared_address(&shared.full[s]), 1);
      ptx::barrier_init(ptx::shared_address(&shared.empty[s]), kConsumers / 32);
    }
    ptx::barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x < kConsumers) {
    ptx::take_registers<240>();
    consume(args, shared);
  } else {
    ptx::give_registers<24>();
    if (threadIdx.x == kConsumers) produce(args, shared);
  }
}

Launch prepare(const Plan& p, const Buffers& b) {
  allow_shared_memory(warp_specialisation, sizeof(Shared));
  const Tiles tiles = make_tiles(p, kRows, kColumns);
  const Arguments args{p, tiles, input_map(p, b.in16, 1, tiles.box),
                       weight_map(p, b.weights16, 1, kColumns), b.out};
  const int blocks = std::min(tiles.count, multiprocessors());
  return [=] { warp_specialisation<<<blocks, kThreads, sizeof(Shared)>>>(args); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"09_warp_specialisation", Format::kBfloat16, prepare});
}
