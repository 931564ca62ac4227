// The ring of slots in shared memory through which a product's operands arrive: the thread that fills it, and
// the warps that empty it.
#pragma once

#include "cuda/hopper/parts/ptx.cuh"
#include "cuda/hopper/training/product_tiles.cuh"

namespace facegen::cuda::hopper::product {

constexpr int kConsumers = 256;  // threads
constexpr int kStageFloats = 16 * 32;
constexpr int kSlotBytes = 32 << 10, kPlaneBytes = 16 << 10, kBlockBytes = 8 << 10;

template <class P>
struct Shared {
  char slots[P::kSlots][kSlotBytes];
  float stages[kConsumers / 32][P::kStages][kStageFloats];  // of warps: see product_store.cuh
  uint64_t full[P::kSlots], empty[P::kSlots];
};

template <class P>
struct Cursor {
  int slot = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++slot == P::kSlots) {
      slot = 0;
      parity ^= 1;
    }
  }
};

template <class P>
struct Producer {
  Shared<P>& shared;
  Cursor<P> at = {};
  uint32_t slot = 0, full = 0;  // addresses

  __device__ void acquire(uint32_t bytes) {
    ptx::barrier_wait(ptx::shared_address(&shared.empty[at.slot]), at.parity ^ 1);
    full = ptx::shared_address(&shared.full[at.slot]);
    slot = ptx::shared_address(shared.slots[at.slot]);
    ptx::barrier_arrive_expect(full, bytes);
    at.advance();
  }
};

// A and B of a step of forward or input.
template <class P>
__device__ inline void copy_rows(const ProductArguments& args, const Tile& tile, int step, Producer<P>& ring) {
  const TrainingPhase& phase = args.phases[tile.phase];
  const int tap = step / args.plan.channel_blocks, block = step % args.plan.channel_blocks;
  for (int b = 0; b < P::kBoxes; ++b) {
    const Position at = find_box(args.plan, tile.row * P::kBoxes + b);
    ring.acquire(P::kPlanes * kPlaneBytes);
    for (int plane = 0; plane < P::kPlanes; ++plane) {
      ptx::copy_box(ring.slot + plane * kPlaneBytes, &args.a, ring.full, block * kBlockChannels,
                    phase.input_x(at.x, tap), phase.input_y(at.y, tap), at.n, plane);
    }
  }
  const int weight_tap = phase.weight_tap(tap), column = tile.column * P::kColumns;
  for (int plane = 0; plane < P::kPlanes; ++plane) {
    if (P::kWide || plane == 0) ring.acquire((P::kWide ? 1 : P::kPlanes) * P::kBlocks * kBlockBytes);
    const uint32_t to = ring.slot + (P::kWide ? 0 : plane * P::kBlocks * kBlockBytes);
    if constexpr (P::kTransposed == ptx::Transposed::kNone) {
      ptx::copy_box(to, &args.b, ring.full, block * kBlockChannels, weight_tap, column, 0, plane);
    } else {
      for (int i = 0; i < P::kBlocks; ++i) {
        ptx::copy_box(to + i * kBlockBytes, &args.b, ring.full, column + i * kBlockChannels, weight_tap,
                      block * kBlockChannels, 0, plane);
      }
    }
  }
}

// A and B of a step of the weight's gradient: a box of positions. A's blocks of 64 rows are taps and
// channels of x; those that the phase does not have are left as they were, as nothing is stored of them.
template <class P>
__device__ inline void copy_positions(const ProductArguments& args, const Tile& tile, int step,
                                      Producer<P>& ring) {
  const TrainingPhase& phase = args.phases[tile.phase];
  const Position at = find_box(args.plan, step);
  for (int b = 0; b < P::kBoxes; ++b) {
    const int first = (tile.row * P::kBoxes + b) * 2;
    const int blocks = gradient_blocks(args, phase, first, 2);
    ring.acquire(static_cast<uint32_t>(blocks * P::kPlanes * kBlockBytes));
    for (int i = 0; i < blocks; ++i) {
      const int rows = first + i;
      const int tap = rows / args.plan.channel_blocks, block = rows % args.plan.channel_blocks;
      for (int plane = 0; plane < P::kPlanes; ++plane) {
        ptx::copy_box(ring.slot + plane * kPlaneBytes + i * kBlockBytes, &args.a, ring.full,
                      block * kBlockChannels, phase.input_x(at.x, tap), phase.input_y(at.y, tap), at.n, plane);
      }
    }
  }
  const int x = phase.x.out_origin + at.x * phase.x.out_step;
  const int y = phase.y.out_origin + at.y * phase.y.out_step;
  for (int plane = 0; plane < P::kPlanes; ++plane) {
    if (P::kWide || plane == 0) ring.acquire((P::kWide ? 1 : P::kPlanes) * P::kBlocks * kBlockBytes);
    const uint32_t to = ring.slot + (P::kWide ? 0 : plane * P::kBlocks * kBlockBytes);
    for (int i = 0; i < P::kBlocks; ++i) {
      ptx::copy_box(to + i * kBlockBytes, &args.b, ring.full, tile.column * P::kColumns + i * kBlockChannels, x, y,
                    at.n, plane);
    }
  }
}

template <class P>
__device__ void produce(const ProductArguments& args, Shared<P>& shared) {
  Producer<P> ring{shared};
  for (int64_t index = blockIdx.x; index < args.plan.tiles(); index += gridDim.x) {
    const Tile tile = find_tile(args, static_cast<int>(index));
    for_each_step<P>(args, tile, [&](int step) {
      if constexpr (P::kWeight) {
        copy_positions<P>(args, tile, step, ring);
      } else {
        copy_rows<P>(args, tile, step, ring);
      }
    });
  }
}

template <class P>
struct Consumer {
  Shared<P>& shared;
  bool leader;
  Cursor<P> at = {};

  __device__ uint32_t wait() const {
    ptx::barrier_wait(ptx::shared_address(&shared.full[at.slot]), at.parity);
    return ptx::shared_address(shared.slots[at.slot]);
  }
  __device__ void release(int slot) const {
    if (leader) ptx::barrier_arrive(ptx::shared_address(&shared.empty[slot]));
  }
};

}  // namespace facegen::cuda::hopper::product
