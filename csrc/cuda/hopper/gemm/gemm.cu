// The indirect GEMM on Hopper: conv2d, conv_transpose2d and linear by TMA and wgmma.
//
//   C (rows: output pixels; columns: output channels)
//     += A (row; tap, channel) * B (tap, channel; column)
//
// A tile of C is a box of output pixels times columns. Where the phases of a transposed convolution
// have 64 output channels, the columns of a tile are those of 2 phases: they read the same input
// pixels, so A is fetched once for both. The phase with more taps comes first; a tap that only it
// has multiplies the first 64 columns alone.
//
// float32 operands are split: x = hi + lo, both bfloat16. A step of the main loop is one tap and 64
// input channels:  C += A_hi B_hi + A_lo B_hi + A_hi B_lo.  (What is left out, lo * lo, is 2^-17 of
// a product.) float16 operands need one product.
//
// Shapes of tile: wide, 128 pixels x 256 columns; tall, 256 x 128; small, 128 x 64; tiny and short,
// 64 x 64.
//
//   shared memory: a ring of 7 slots of 32 KiB, each with a `full` and an `empty` barrier
//     A   128 pixels x 64 channels, hi | lo   one TMA box, shifted by the tap; zeros outside
//     B   wide: 256 columns x 64 channels, hi in one slot, lo in the next
//         else up to 128 columns x 64 channels, hi | lo
//                                             packed and swizzled at load: plain bulk copies
//     tiny and short tiles, and small ones of float16: A and B share a slot, so that twice as many
//     steps are on their way
//
//   warpgroups 0, 1   64 rows each, tall 2 x 64; up to 128 sums a thread, in registers
//   warpgroup 2       one thread fills the ring, up to 7 slots ahead, also across tiles
//     tiny and short tiles: one warpgroup, and a warp that fills 6 or 2 slots
//
// Each CTA owns one multiprocessor (of short tiles three share it: while one stores its sums the others
// load and multiply) and works through its own list of tiles, made by the planner so
// that all lists take equally long. Taps that no pixel of a box can reach are skipped, by the
// producer and the consumers alike. Sums are in the order (tap, channel) whatever the box, so the
// result does not depend on the batch.
//
// wgmma rounds towards zero at every step, which a long sum shows: 1e-4 at the worst for K = 4,608.
// Such a sum is cut into stretches (gemm.h). In between it waits in registers (small tiles)
// or in the output, which is in the L2 cache.
//
// The columns of B are permuted within each 32 so that a thread's sums are 8 neighbouring channels
// at a time, which epilogue.cuh stores from registers.

#include "cuda/hopper/gemm/gemm.h"

#include "cuda/hopper/gemm/ring.cuh"
#include "cuda/hopper/parts/epilogue.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/ptx.cuh"
#include "cuda/hopper/parts/wgmma.cuh"

namespace facegen::cuda::hopper {
namespace {

// sums[the first kBlocks * 64 columns] += a (64 x 64) * b (kBlocks * 64 x 64)^T
template <int kBlocks, class V>
__device__ __forceinline__ void multiply(float* sums, uint32_t a, uint32_t b) {
  const uint64_t a_tile = ptx::tile_descriptor(a), b_tile = ptx::tile_descriptor(b);
#pragma unroll
  for (int k = 0; k < V::kSteps; ++k) {
    ptx::wgmma<kBlocks * kBlockChannels, V::kHalf>(sums, a_tile + 2 * k, b_tile + 2 * k);
  }
}

template <class V>
using Sums = float[V::kRowTiles][V::kColumns / 2];

// All products of a step whose B is one slot, hi | lo.
template <int kBlocks, class V, int kPending = 0>
__device__ __forceinline__ void multiply_step(Sums<V>& sums, uint32_t a, uint32_t b) {
  ptx::wgmma_fence();
#pragma unroll
  for (int m = 0; m < V::kRowTiles; ++m) {
    const uint32_t a_rows = a + m * 64 * 128;
    multiply<kBlocks, V>(sums[m], a_rows, b);
    if constexpr (!V::kHalf) {
      multiply<kBlocks, V>(sums[m], a_rows + V::kPlaneBytes, b);
      multiply<kBlocks, V>(sums[m], a_rows, b + kBlocks * kBlockChannels * 128);
    }
  }
  ptx::wgmma_commit();
  ptx::wgmma_wait<kPending>();
}

// The same where hi and lo of B have a slot each.
template <class V>
__device__ __forceinline__ void multiply_wide(Sums<V>& sums, uint32_t a, Consumer<V>& ring) {
  const uint32_t b = ring.wait();
  const int b_slot = ring.at.slot;
  ptx::wgmma_fence();
  multiply<4, V>(sums[0], a, b);
  multiply<4, V>(sums[0], a + V::kPlaneBytes, b);
  ptx::wgmma_commit();
  ring.at.advance();
  const uint32_t b_lo = ring.wait();
  multiply<4, V>(sums[0], a, b_lo);
  ptx::wgmma_commit();
  ptx::wgmma_wait<1>();
  ring.release(b_slot);
  ptx::wgmma_wait<0>();
}

// Ends a stretch of a small tile: its sums are added to the total. Without a branch, at which the
// compiler would let no products be under way.
template <class V>
__device__ __forceinline__ void end_stretch(bool ends, Sums<V>& sums, Sums<V>& total) {
#pragma unroll
  for (int i = 0; i < V::kColumns / 2; ++i) {
    total[0][i] += ends ? sums[0][i] : 0.0f;
    sums[0][i] = ends ? 0.0f : sums[0][i];
  }
}

// Of large tiles, sums wait between stretches where the output will be. `again`: if they have
// before.
template <class V>
__device__ __forceinline__ void park(const Arguments& args, const Tile& tile, int row,
                                     Sums<V>& sums, bool again) {
#pragma unroll
  for (int m = 0; m < V::kRowTiles; ++m) {
    const Rows rows(args, tile, row + m * 64);
    if (again) move_parked<V::kColumns, true>(args, tile, rows, sums[m]);
    move_parked<V::kColumns, false>(args, tile, rows, sums[m]);
  }
}

template <class V>
__device__ __forceinline__ void clear(Sums<V>& sums) {
#pragma unroll
  for (auto& part : sums) {
#pragma unroll
    for (float& sum : part) sum = 0.0f;
  }
}

// Where a consumer thread is: its warpgroup, and its first row of a tile.
template <class V>
struct Place {
  int warpgroup = static_cast<int>(threadIdx.x) / 128;
  int row = warpgroup * 64 * V::kRowTiles + static_cast<int>(threadIdx.x) / 32 % 4 * 16 +
            static_cast<int>(threadIdx.x) % 32 / 4;

  // Without images for any row of it, a warpgroup only keeps pace.
  __device__ bool is_idle(const Arguments& args, const Tile& tile) const {
    const int existing = (args.images - tile.n) << (args.box.log2_w + args.box.log2_h);
    return warpgroup * 64 * V::kRowTiles >= min(existing, V::kRows);
  }
};

// Tiles of 64 columns: all their sums fit in registers. Products are so short that a step starts
// before the one before it is complete; that one's slots are then held until it is. Inside of a
// stretch nothing else happens, else the compiler would let no products be under way.
template <class V>
__device__ void consume_small(const Arguments& args, Shared<V>& shared) {
  const Place<V> place;
  Consumer<V> ring{shared, threadIdx.x % 32 == 0, {}};
  for (int i = args.tile_begin[blockIdx.x]; i < args.tile_begin[blockIdx.x + 1]; ++i) {
    const Tile tile = args.tiles[i];
    const Group& group = args.groups[tile.group];
    const bool idle = place.is_idle(args, tile);
    const int end = group.first_tap + group.tap_count;
    Sums<V> sums, of_stretches;
    Sums<V>& total = V::kShortSums ? sums : of_stretches;  // short sums are one stretch
    clear<V>(sums);
    clear<V>(total);
    int held_a = -1, held_b = -1;
    const auto release = [&] {
      if (held_a >= 0) ring.release(held_a);
      if (held_b >= 0) ring.release(held_b);
      held_a = held_b = -1;
    };
    bool empty = true;
    for (int t = group.first_tap; t < end;) {
      int steps = 0;
      do {
        const Tap tap = shared.taps[t];
        if (reaches(args, tile, tap)) steps += tap.end_block - tap.first_block;
      } while (++t < end && !shared.taps[t].promotes);
      ptx::wgmma_wait<0>();
      release();
      if constexpr (!V::kShortSums) end_stretch<V>(!empty, sums, total);
      empty = empty && steps == 0;
      for (; steps > 0; --steps) {
        const int a_slot = ring.at.slot;
        int b_slot = -1;
        const uint32_t a = ring.wait();
        uint32_t b = a + V::kPlanes * V::kPlaneBytes;
        ring.at.advance();
        if constexpr (!V::kOneSlot) {
          b = ring.wait();
          b_slot = ring.at.slot;
          ring.at.advance();
        }
        if (!idle) multiply_step<1, V, 1>(sums, a + place.warpgroup * 64 * 128, b);
        release();
        held_a = a_slot;
        held_b = b_slot;
      }
    }
    ptx::wgmma_wait<0>();
    release();
    if constexpr (!V::kShortSums) end_stretch<V>(!empty, sums, total);
    finish<V::kColumns, V::kHalf, V::kAdd>(args, tile, Rows(args, tile, place.row), total[0]);
  }
}

template <class V>
__device__ void consume_large(const Arguments& args, Shared<V>& shared) {
  const Place<V> place;
  const int warpgroup = place.warpgroup;
  Consumer<V> ring{shared, threadIdx.x % 32 == 0, {}};
  for (int i = args.tile_begin[blockIdx.x]; i < args.tile_begin[blockIdx.x + 1]; ++i) {
    const Tile tile = args.tiles[i];
    const Group& group = args.groups[tile.group];
    Sums<V> sums;  // of a stretch
    clear<V>(sums);
    bool stretch_ends = false, empty = true, parked = false;
    const bool idle = place.is_idle(args, tile);
    const int end = group.first_tap + group.tap_count;
    for (int t = group.first_tap; t < end; ++t) {
      const Tap tap = shared.taps[t];
      stretch_ends |= tap.promotes;
      if (!reaches(args, tile, tap)) continue;
      if constexpr (!V::kHalf) {
        if (stretch_ends && !empty && !idle) {
          park<V>(args, tile, place.row, sums, parked);
          clear<V>(sums);
          parked = true;
        }
        stretch_ends = empty = false;
      }
      for (int block = tap.first_block; block < tap.end_block; ++block) {
        // This warpgroup's rows of A: half of one box, or one box of two.
        const int a_slot = ring.at.slot;
        int other = -1;
        uint32_t a = ring.wait();
        if constexpr (V::kRowTiles == 1 || V::kHalf) {
          a += warpgroup * 64 * V::kRowTiles * 128;
        } else {
          // Both wait for both: who lets a barrier's phase pass unseen takes it for the next one
          // of the same parity.
          ring.at.advance();
          other = ring.at.slot;
          const uint32_t second = ring.wait();
          if (warpgroup == 1) a = second;
        }
        ring.at.advance();
        if constexpr (V::kColumns == 256 && !V::kHalf) {
          multiply_wide<V>(sums, a, ring);
        } else {
          const uint32_t b = ring.wait();
          if (!idle && tap.blocks == V::kBlocks) {
            multiply_step<V::kBlocks, V>(sums, a, b);
          } else if constexpr (V::kBlocks == 2) {
            if (!idle) multiply_step<1, V>(sums, a, b);
          }
        }
        ring.release(a_slot);
        if (other >= 0) ring.release(other);
        ring.release(ring.at.slot);
        ring.at.advance();
      }
    }
#pragma unroll
    for (int m = 0; m < V::kRowTiles; ++m) {
      const Rows rows(args, tile, place.row + m * 64);
      if (parked) move_parked<V::kColumns, true>(args, tile, rows, sums[m]);
      finish<V::kColumns, V::kHalf, V::kAdd>(args, tile, rows, sums[m]);
    }
  }
}

// Of this CTA's first tile.
__device__ void prefetch_weights(const Arguments& args) {
  const Group& group = args.groups[args.tiles[args.tile_begin[blockIdx.x]].group];
  if (group.tap_count == 0) return;
  const int64_t first = group.first_kib;
  const int64_t end = first + group.weights_kib;
  for (int64_t at = first; at < end; at += 16) {
    const auto kib = static_cast<uint32_t>(min(end - at, int64_t{16}));
    ptx::prefetch_bytes(args.weights + (at << 10), kib << 10);
  }
}

template <class V>
__global__ void __launch_bounds__(V::kThreads, V::kMinCtas)
    hopper_gemm(const __grid_constant__ Arguments args) {
  extern __shared__ __align__(1024) char memory[];
  Shared<V>& shared = *reinterpret_cast<Shared<V>*>(memory);

  ptx::let_next_step_start();
  if (threadIdx.x == 0) {
    ptx::prefetch_map(&args.input);
    for (int s = 0; s < V::kSlots; ++s) {
      ptx::barrier_init(ptx::shared_address(&shared.full[s]), 1);
      ptx::barrier_init(ptx::shared_address(&shared.empty[s]), V::kConsumers / 32);
    }
    ptx::barrier_init_fence();
  }
  for (int t = threadIdx.x; t < args.tap_count; t += V::kThreads) shared.taps[t] = args.taps[t];
  __syncthreads();
  if (threadIdx.x < V::kConsumers) {
    // Weights wait for no step before this one. (Where A and B share a slot the ring has the first
    // ones, and more than those would keep the step before waiting for its own: pix2pix lost 5%.)
    if (!V::kOneSlot && threadIdx.x == 0 && args.images <= kEarlyImages) prefetch_weights(args);
    __syncwarp();
    ptx::wait_for_steps_before();
    // 240 * 256 + 24 * 128 registers of the 65,536.
    if constexpr (!V::kLight) ptx::take_registers<240>();
    if constexpr (V::kColumns == kBlockChannels) {
      consume_small<V>(args, shared);
    } else {
      consume_large<V>(args, shared);
    }
  } else {
    if constexpr (!V::kLight) ptx::give_registers<24>();
    if (threadIdx.x == V::kConsumers) {
      if constexpr (V::kOneSlot) {
        produce_shared<V>(args, shared);
      } else {
        produce<V>(args, shared);
      }
    }
  }
}

template <class V>
void launch_variant(const Arguments& arguments, int ctas, cudaStream_t stream) {
  constexpr int kBytes = sizeof(Shared<V>);
  static_assert(kBytes <= 227 << 10, "the shared memory of a multiprocessor");
  launch(hopper_gemm<V>, dim3(static_cast<unsigned>(ctas)), V::kThreads, kBytes, arguments.images,
         stream, arguments);
}

template <Shape kShape, bool kHalf>
void launch_shape(const Arguments& arguments, int channels, int ctas, cudaStream_t stream) {
  if (arguments.add.data) {
    return launch_variant<Variant<kShape, kHalf, 4, true>>(arguments, ctas, stream);
  }
  if constexpr (kShape != Shape::kWide) {
    if (channels <= 16) return launch_variant<Variant<kShape, kHalf, 1>>(arguments, ctas, stream);
    if (channels <= 32) return launch_variant<Variant<kShape, kHalf, 2>>(arguments, ctas, stream);
  }
  launch_variant<Variant<kShape, kHalf>>(arguments, ctas, stream);
}

}  // namespace

void launch(const Arguments& arguments, Shape shape, bool half, int channels, int ctas,
            cudaStream_t stream) {
  const auto run = [&](auto of_float32, auto of_float16) {
    (half ? of_float16 : of_float32)(arguments, channels, ctas, stream);
  };
  switch (shape) {
    case Shape::kWide:
      return run(launch_shape<Shape::kWide, false>, launch_shape<Shape::kWide, true>);
    case Shape::kTall:
      return run(launch_shape<Shape::kTall, false>, launch_shape<Shape::kTall, true>);
    case Shape::kSmall:
      return run(launch_shape<Shape::kSmall, false>, launch_shape<Shape::kSmall, true>);
    case Shape::kTiny:
      return launch_variant<Variant<Shape::kTiny, false>>(arguments, ctas, stream);
    case Shape::kShort:
      return run(launch_shape<Shape::kShort, false>, launch_shape<Shape::kShort, true>);
  }
}

}  // namespace facegen::cuda::hopper
