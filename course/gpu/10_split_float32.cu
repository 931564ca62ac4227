// Rung 10: split float32: float32's accuracy on the tensor cores, by three products of bfloat16.
//
//   nvcc -O3 -std=c++17 -gencode=arch=compute_90a,code=sm_90a 10_split_float32.cu -o rung && ./rung
//
// The product's kernel (csrc/cuda/hopper/gemm) for its tall tiles, without what makes it general.
//
//   x = hi + lo, both bfloat16: 8 + 8 bits of the 24 of float32, and the sign of lo is one more
//   C += A_hi B_hi + A_lo B_hi + A_hi B_lo          (left out: lo * lo, 2^-18 of a product)
//   ring     7 slots of 32 KiB. A step takes three: 128 pixels of A, hi | lo; the other 128; B, hi | lo
//   stretch  wgmma cuts its sums off (always towards zero), which a long sum shows. So the sum of a
//            row of taps, 768 terms at most, is added to the output so far by float32 additions, which
//            round. In between it waits where the output will be, in the L2 cache
//   columns  are permuted within each 32: a thread has 8 neighbouring channels, and 4 lanes a line
//
// What changes: three products instead of one, from slots that are as large for the same step. Both
// operands are read once for them, so shared memory is asked less for a product.
//
// Error: 3e-5 of the outputs' rms at the worst, a three-hundredth of rung 9's.
// Prediction for one H200: 215 TFLOPS of float32, 3.2 times the 67 of the CUDA cores, 65% of 989 / 3.
// A tile's products take three times 36,900 clocks; to add up and store, 5 times 128 KiB, some 16,000,
// 13% beside them.
#include "../../csrc/cuda/hopper/parts/ptx.cuh"
#include "../../csrc/cuda/hopper/parts/wgmma.cuh"
#include "../common/tensor_map.cuh"

namespace {

using namespace course;
namespace ptx = facegen::cuda::ptx;

constexpr int kRows = 256, kColumns = 128, kBlockChannels = 64, kRowTiles = 2;
constexpr int kConsumers = 256, kThreads = kConsumers + 128;
constexpr int kSlots = 7, kSlotBytes = 32 << 10, kPlaneBytes = kSlotBytes / 2;  // hi, then lo
static_assert(kRows / 2 * 128 == kPlaneBytes && kColumns * 128 == kPlaneBytes);
struct Shared {  // of the 227 KiB of a multiprocessor
  char slots[kSlots][kSlotBytes];
  uint64_t full[kSlots], empty[kSlots];
};

struct Arguments {
  Plan plan;
  Tiles tiles;
  Box second;  // from the first half of a tile's pixels to the other
  CUtensorMap in, weights;
  float* out;
};

struct Cursor {  // a position in the ring, and the parity of its barriers' current phase
  int slot = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++slot == kSlots) slot = 0, parity ^= 1;
  }
};

__device__ void produce(const Arguments& args, Shared& shared) {
  const Plan& p = args.plan;
  Cursor at;
  const auto fill = [&](const CUtensorMap& map, int channel, int x, int y, int n) {
    const uint32_t slot = ptx::shared_address(shared.slots[at.slot]);
    const uint32_t full = ptx::shared_address(&shared.full[at.slot]);
    ptx::barrier_wait(ptx::shared_address(&shared.empty[at.slot]), at.parity ^ 1);
    ptx::barrier_arrive_expect(full, kSlotBytes);
    for (int plane = 0; plane < 2; ++plane) {
      ptx::copy_box(slot + plane * kPlaneBytes, &map, full, channel, x, y, n, plane);
    }
    at.advance();
  };
  for_each_tile(p, args.tiles, [&](const Tile& tile) {
    const GpuPhase& phase = p.phase[tile.phase];
    for (int t = phase.first_tap; t < phase.first_tap + phase.tap_count(); ++t) {
      const Tap tap = p.taps[t];
      for (int channel = 0; channel < p.c; channel += kBlockChannels) {
        const int x = tile.x + tap.dx, y = tile.y + tap.dy;
        fill(args.in, channel, x, y, tile.n);
        fill(args.in, channel, x + args.second.w, y + args.second.h, tile.n + args.second.n);
        fill(args.weights, channel, tile.column, tap.weight, 0);
      }
    }
  });
}

// sums (64 x 128) += a (64 x 64) * b (128 x 64)^T
__device__ __forceinline__ void multiply(float* sums, uint32_t a, uint32_t b) {
  const uint64_t a_tile = ptx::tile_descriptor(a), b_tile = ptx::tile_descriptor(b);
#pragma unroll
  for (int k = 0; k < kBlockChannels; k += 16) {
    ptx::wgmma<kColumns, false>(sums, a_tile + k / 8, b_tile + k / 8);
  }
}

// Ends a stretch: adds 64 rows' sums to the output so far, of which there is none at first. Lane
// 4 g + q has, of rows g and g + 8, channels 8 q to 8 q + 7 of each 32 (neighbouring_channel).
__device__ __forceinline__ void add_stretch(const Arguments& args, const Tile& tile, int first_row,
                                            bool first, const float* sums) {
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float* pixel = args.out + args.tiles.output_of(args.plan, tile, first_row + 8 * r);
    auto* to = reinterpret_cast<float4*>(pixel) + threadIdx.x % 4 * 2;
    float4 so_far[kColumns / 16] = {};
#pragma unroll
    for (int i = 0; i < kColumns / 16; ++i) {
      if (!first) so_far[i] = __ldcg(to + i / 2 * 8 + i % 2);
    }
#pragma unroll
    for (int i = 0; i < kColumns / 16; ++i) {
      const float* s = sums + 8 * i + 2 * r;
      const float4 o = so_far[i];
      __stcg(to + i / 2 * 8 + i % 2, make_float4(o.x + s[0], o.y + s[1], o.z + s[4], o.w + s[5]));
    }
  }
}

__device__ void consume(const Arguments& args, Shared& shared) {
  const Plan& p = args.plan;
  const int warpgroup = threadIdx.x / 128;
  const int first_row = warpgroup * 128 + threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4;
  Cursor at;
  const auto release = [&](int slot) {
    if (threadIdx.x % 32 == 0) ptx::barrier_arrive(ptx::shared_address(&shared.empty[slot]));
  };
  for_each_tile(p, args.tiles, [&](const Tile& tile) {
    const GpuPhase& phase = p.phase[tile.phase];
    for (int stretch = 0; stretch < phase.tap_rows; ++stretch) {
      float sums[kRowTiles][kColumns / 2] = {};
      for (int s = phase.tap_cols * (p.c / kBlockChannels); s > 0; --s) {
        // Each warpgroup reads one of A's slots, but waits for both: who lets a barrier's phase pass
        // unseen takes it for the next one of the same parity.
        int held[3];
        uint32_t slots[3];
#pragma unroll
        for (int i = 0; i < 3; ++i) {
          held[i] = at.slot;
          slots[i] = ptx::shared_address(shared.slots[at.slot]);
          ptx::barrier_wait(ptx::shared_address(&shared.full[at.slot]), at.parity);
          at.advance();
        }
        const uint32_t b = slots[2];
        ptx::wgmma_fence();
#pragma unroll
        for (int m = 0; m < kRowTiles; ++m) {
          const uint32_t a_hi = (warpgroup == 0 ? slots[0] : slots[1]) + m * 64 * 128;
          multiply(sums[m], a_hi, b);
          multiply(sums[m], a_hi + kPlaneBytes, b);
          multiply(sums[m], a_hi, b + kPlaneBytes);
        }
        ptx::wgmma_commit();
        ptx::wgmma_wait<0>();
#pragma unroll
        for (int i = 0; i < 3; ++i) release(held[i]);
      }
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        add_stretch(args, tile, first_row + 64 * m, stretch == 0, sums[m]);
      }
    }
  });
}

__global__ void __launch_bounds__(kThreads, 1) split_float32(const __grid_constant__ Arguments args) {
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

// The channel that column n of B is.
int neighbouring_channel(int n) { return n / 32 * 32 + n % 8 / 2 * 8 + n % 32 / 8 * 2 + n % 2; }

Launch prepare(const Plan& p, const Buffers& b) {
  allow_shared_memory(split_float32, sizeof(Shared));
  const Tiles tiles = make_tiles(p, kRows, kColumns);
  Box half = tiles.box, second = {};
  int& longest = half.n > 1 ? half.n : half.h;
  (half.n > 1 ? second.n : second.h) = longest /= 2;
  const Arguments args{p, tiles, second, input_map(p, b.in16, 2, half),
                       weight_map(p, b.weights16, 2, kColumns), b.out};
  const int blocks = std::min(tiles.count, multiprocessors());
  return [=] { split_float32<<<blocks, kThreads, sizeof(Shared)>>>(args); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"10_split_float32", Format::kSplit, prepare, neighbouring_channel});
}
