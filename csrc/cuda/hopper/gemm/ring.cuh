// The ring of slots in shared memory through which the Hopper kernel's operands arrive: its layout,
// and the thread that fills it.
#pragma once

#include "cuda/hopper/gemm/gemm.h"
#include "cuda/hopper/parts/ptx.cuh"

namespace facegen::cuda::hopper {

constexpr int kSlotBytes = 32 << 10;

// Tile shape and operands of one instance of the kernel.
template <Shape kShape, bool kHalfOperands, int kStepsOfBlock = kBlockChannels / 16, bool kAddition = false>
struct Variant {
  static constexpr bool kHalf = kHalfOperands;
  static constexpr int kRows = tile_rows(kShape);
  static constexpr int kBlocks = tile_blocks(kShape);
  static constexpr int kColumns = kBlocks * kBlockChannels;
  static constexpr int kBoxes = kShape == Shape::kTall ? 2 : 1;  // of A
  static constexpr int kRowTiles = kBoxes;  // of 64 rows, for each of the two warpgroups
  static constexpr int kPlanes = kHalf ? 1 : 2;
  static constexpr int kPlaneBytes = kRows / kBoxes * 128;  // rows of 64 16-bit values
  // Tiny tiles: one warpgroup of consumers and one warp besides. They leave room for CTAs of the
  // norm behind them, which then start early.
  static constexpr bool kLight = kRows == 64;
  static constexpr bool kShortSums = kShape == Shape::kShort;
  static constexpr int kSlots = kShortSums ? 2 : kLight ? 6 : 7;
  static constexpr int kConsumers = kLight ? 128 : 256;  // threads
  static constexpr int kThreads = kConsumers + (kLight ? 32 : 128);
  static constexpr int kMinCtas = kShortSums ? kShortCtas : kLight ? 3 : 1;  // as far as registers are concerned
  static constexpr bool kOneSlot = kLight || (kShape == Shape::kSmall && kHalf);
  static_assert(!kOneSlot || kPlanes * (kPlaneBytes + kColumns * 128) <= kSlotBytes);
  static constexpr int kSteps = kStepsOfBlock;  // products of 16 channels: fewer for few channels
  static constexpr bool kAdd = kAddition;       // whether the epilogue adds another map
};

template <class V>
struct Shared {
  char slots[V::kSlots][kSlotBytes];
  Tap taps[kMaxTaps];
  uint64_t full[V::kSlots], empty[V::kSlots];
};

// A position in the ring, and the parity of its barriers' current phase.
template <class V>
struct Cursor {
  int slot = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++slot == V::kSlots) {
      slot = 0;
      parity ^= 1;
    }
  }
};

// The ring as a consumer warp sees it.
template <class V>
struct Consumer {
  Shared<V>& shared;
  bool leader;
  Cursor<V> at;
  // Waits until the next slot is filled; its address.
  __device__ uint32_t wait() const {
    ptx::barrier_wait(ptx::shared_address(&shared.full[at.slot]), at.parity);
    return ptx::shared_address(shared.slots[at.slot]);
  }
  __device__ void release(int slot) const {
    if (leader) ptx::barrier_arrive(ptx::shared_address(&shared.empty[slot]));
  }
};

// Whether any pixel of the tile's box reads inside the input with this tap.
__device__ inline bool reaches(const Arguments& args, const Tile& tile, const Tap& tap) {
  const int y = tile.y * args.step_y + tap.dy, x = tile.x * args.step_x + tap.dx;
  const int last_y = y + ((1 << args.box.log2_h) - 1) * args.step_y;
  const int last_x = x + ((1 << args.box.log2_w) - 1) * args.step_x;
  return y < args.in_h && last_y >= 0 && x < args.in_w && last_x >= 0;
}

// Calls `step` with each tile of this CTA, tap and block of channels, and where its weights are,
// until it returns false.
template <class V, class Function>
__device__ void for_each_step(const Arguments& args, const Shared<V>& shared,
                              const Function& step) {
  for (int i = args.tile_begin[blockIdx.x]; i < args.tile_begin[blockIdx.x + 1]; ++i) {
    const Tile tile = args.tiles[i];
    const Group& group = args.groups[tile.group];
    const int end = group.first_tap + group.tap_count;
    for (int t = group.first_tap; t < end; ++t) {
      const Tap tap = shared.taps[t];
      if (!reaches(args, tile, tap)) continue;
      const uint8_t* weights =
          args.weights + ((group.first_kib + static_cast<int64_t>(tap.weights_kib)) << 10);
      for (int block = tap.first_block; block < tap.end_block; ++block) {
        if (!step(tile, tap, block, weights)) return;
        weights += tap.blocks * V::kPlanes * kBlockChannels * 128;
      }
    }
  }
}

// The ring as the producer sees it.
template <class V>
struct Producer {
  const Arguments& args;
  Shared<V>& shared;
  Cursor<V> at = {};
  uint32_t slot = 0, full = 0;  // addresses

  // Waits for the next slot, announces the bytes that will come.
  __device__ void acquire(uint32_t bytes) {
    ptx::barrier_wait(ptx::shared_address(&shared.empty[at.slot]), at.parity ^ 1);
    ptx::barrier_arrive_expect(ptx::shared_address(&shared.full[at.slot]), bytes);
  }
  __device__ void advance() {
    slot = ptx::shared_address(shared.slots[at.slot]);
    full = ptx::shared_address(&shared.full[at.slot]);
    at.advance();
  }
  // A box of A, the tile's own or a tall tile's second one.
  __device__ void copy_boxes(const Tile& tile, const Tap& tap, int block, BoxOffset moved) {
    const int x = tile.x * args.step_x + tap.dx + moved.x;
    const int y = tile.y * args.step_y + tap.dy + moved.y;
    for (int plane = 0; plane < V::kPlanes; ++plane) {
      ptx::copy_box(slot + plane * V::kPlaneBytes, &args.input, full, block * kBlockChannels, x, y,
                    tile.n + moved.n, plane);
    }
  }
};

// Where A and B share a slot. The first weights do not wait for the step before this one: all slots
// have theirs, and lack A, when it completes.
template <class V>
__device__ void produce_shared(const Arguments& args, Shared<V>& shared) {
  constexpr int kWeightBytes = V::kPlanes * V::kColumns * 128;
  Producer<V> ring{args, shared};
  const auto copy_weights = [&](const uint8_t* weights) {
    ring.acquire(V::kPlanes * args.copied_bytes + kWeightBytes);
    ptx::copy_bytes(ptx::shared_address(shared.slots[ring.at.slot]) + V::kPlanes * V::kPlaneBytes,
                    weights, kWeightBytes, ptx::shared_address(&shared.full[ring.at.slot]));
  };
  int early = 0;
  for_each_step<V>(args, shared,
                   [&](const Tile&, const Tap&, int, const uint8_t* weights) {
                     copy_weights(weights);
                     ring.advance();
                     return ++early < V::kSlots;
                   });
  ptx::wait_for_steps_before();
  ring.at = {};
  for_each_step<V>(args, shared,
                   [&](const Tile& tile, const Tap& tap, int block, const uint8_t* weights) {
                     if (early-- <= 0) copy_weights(weights);
                     ring.advance();
                     ring.copy_boxes(tile, tap, block, {});
                     return true;
                   });
}

template <class V>
__device__ void produce(const Arguments& args, Shared<V>& shared) {
  ptx::wait_for_steps_before();
  Producer<V> ring{args, shared};
  const auto acquire = [&](uint32_t bytes) {
    ring.acquire(bytes);
    ring.advance();
  };
  for_each_step<V>(args, shared,
                   [&](const Tile& tile, const Tap& tap, int block, const uint8_t* weights) {
    // float16: both boxes of a tall tile share a slot.
    for (int box = 0; box < V::kBoxes; ++box) {
      if (box == 0 || !V::kHalf) {
        acquire((V::kHalf ? V::kBoxes : 2) * args.copied_bytes);
      } else {
        ring.slot += V::kPlaneBytes;
      }
      ring.copy_boxes(tile, tap, block, box == 0 ? BoxOffset{} : args.second_box);
    }
    for (int left = tap.blocks * V::kPlanes * kBlockChannels * 128; left > 0; left -= kSlotBytes) {
      const int bytes = min(left, kSlotBytes);
      acquire(bytes);
      ptx::copy_bytes(ring.slot, weights, bytes, ring.full);
      weights += bytes;
    }
    return true;
  });
}

}  // namespace facegen::cuda::hopper
