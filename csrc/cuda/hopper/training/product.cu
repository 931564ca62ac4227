// The products of training on Hopper, by TMA and wgmma: forward, gradient in the input, and gradient in the
// weight are one kernel, whose operands lie in memory as these products find them. What differs is along
// which of its axes an operand's tile has neighbouring numbers, which wgmma takes either way:
//
//              A: 64 x depth of 64                       B: columns x depth of 64
//   forward    pixels; channels side by side             output channels; input channels side by side
//   input      pixels; channels side by side             output channels are the depth: transposed
//   weight     pixels are the depth: transposed          pixels are the depth: transposed
//
// So a weight is split once a step, for both products that read it, and nothing is packed or transposed.
//
// float32 operands are split, x = hi + lo, both bfloat16:  C += A_hi B_hi + A_lo B_hi + A_hi B_lo.
//
//   shared memory: a ring of 7 slots of 32 KiB, each with a `full` and an `empty` barrier
//     A   128 rows x 64, hi | lo; tall and narrow tiles: two of them a step
//     B   wide: 256 columns x 64, hi in one slot, lo in the next; else up to 128 columns, hi | lo
//
//   warpgroups 0, 1   64 rows each of a wide tile, else 128; up to 128 sums a thread, in registers
//   warpgroup 2       one thread fills the ring, up to 7 slots ahead, also across tiles
//
// The sum of a tile is over parts, each a tile of its own, which another kernel adds in order. Tensor cores
// round towards zero: kLostAnAddition of a sum is lost each time 16 products are added to it, in the mean
// of numbers of any sign, which is made up for at the end.
#include "cuda/hopper/training/product.h"

#include "cuda/generic/element.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/ptx.cuh"
#include "cuda/hopper/parts/wgmma.cuh"

namespace facegen::cuda::hopper {
namespace {

constexpr int kSlots = 7, kSlotBytes = 32 << 10, kPlaneBytes = 16 << 10, kBlockBytes = 8 << 10;
constexpr int kConsumers = 256, kThreads = 384;
constexpr float kLostAnAddition = 1.5e-8f;  // see cuda/fit/gemm_plan.cpp

struct Shared {
  char slots[kSlots][kSlotBytes];
  uint64_t full[kSlots], empty[kSlots];
};

template <ProductKind kKind, ProductShape kShape>
struct Product {
  static constexpr bool kWeight = kKind == ProductKind::kWeight;
  static constexpr int kBoxes = product_rows(kShape) / 128;  // slots of A a step, and row tiles a warpgroup
  static constexpr int kBlocks = product_columns(kShape) / 64;
  static constexpr int kColumns = product_columns(kShape);
  static constexpr bool kWide = kShape == ProductShape::kWide;
  static constexpr auto kTransposed = kWeight                             ? ptx::Transposed::kBoth
                                      : kKind == ProductKind::kInput ? ptx::Transposed::kB
                                                                     : ptx::Transposed::kNone;
};

struct Tile {
  int row, column, phase, first_step, last_step, split;
};

__device__ inline Tile find_tile(const ProductArguments& args, int index) {
  const ProductPlan& plan = args.plan;
  Tile tile;
  tile.column = index % plan.column_tiles;
  index /= plan.column_tiles;
  tile.row = index % plan.row_tiles;
  index /= plan.row_tiles;
  tile.phase = index % plan.phases;
  tile.split = index / plan.phases;
  const TrainingPhase& phase = args.phases[tile.phase];
  const int steps = plan.kind == ProductKind::kWeight ? plan.boxes_x * plan.boxes_y * plan.boxes_n
                                                      : phase.taps() * plan.channel_blocks;
  tile.first_step = tile.split * plan.part_steps;
  tile.last_step = min(steps, tile.first_step + plan.part_steps);
  return tile;
}

// The first position of a box.
struct Position {
  int x, y, n;
};
__device__ inline Position find_box(const ProductPlan& plan, int box) {
  const int x = box % plan.boxes_x;
  box /= plan.boxes_x;
  const int y = box % plan.boxes_y;
  return {x << plan.box.log2_w, y << plan.box.log2_h, box / plan.boxes_y << plan.box.log2_n};
}

// Whether a box of rows reads any pixel of A's map with this tap.
__device__ inline bool box_reaches(const ProductArguments& args, const TrainingPhase& phase,
                                   const Position& at, int tap) {
  const int y = phase.input_y(at.y, tap), x = phase.input_x(at.x, tap);
  const int last_y = y + ((1 << args.plan.box.log2_h) - 1) * phase.y.step;
  const int last_x = x + ((1 << args.plan.box.log2_w) - 1) * phase.x.step;
  return at.n < args.images && y < args.a_h && last_y >= 0 && x < args.a_w && last_x >= 0;
}

// body(step) of those steps of a tile whose operands are not all zeros.
template <class P, class Body>
__device__ inline void for_each_step(const ProductArguments& args, const Tile& tile, const Body& body) {
  if constexpr (P::kWeight) {
    for (int step = tile.first_step; step < tile.last_step; ++step) body(step);
  } else {
    const TrainingPhase& phase = args.phases[tile.phase];
    for (int step = tile.first_step; step < tile.last_step;) {
      const int tap = step / args.plan.channel_blocks;
      const int end = min(tile.last_step, (tap + 1) * args.plan.channel_blocks);
      bool reaches = false;
      for (int b = 0; b < P::kBoxes; ++b) {
        reaches |= box_reaches(args, phase, find_box(args.plan, tile.row * P::kBoxes + b), tap);
      }
      if (!reaches) step = end;
      for (; step < end; ++step) body(step);
    }
  }
}

struct Cursor {
  int slot = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++slot == kSlots) {
      slot = 0;
      parity ^= 1;
    }
  }
};

struct Producer {
  Shared& shared;
  Cursor at = {};
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
__device__ inline void copy_rows(const ProductArguments& args, const Tile& tile, int step, Producer& ring) {
  const TrainingPhase& phase = args.phases[tile.phase];
  const int tap = step / args.plan.channel_blocks, block = step % args.plan.channel_blocks;
  for (int b = 0; b < P::kBoxes; ++b) {
    const Position at = find_box(args.plan, tile.row * P::kBoxes + b);
    ring.acquire(2 * kPlaneBytes);
    for (int plane = 0; plane < 2; ++plane) {
      ptx::copy_box(ring.slot + plane * kPlaneBytes, &args.a, ring.full, block * kBlock,
                    phase.input_x(at.x, tap), phase.input_y(at.y, tap), at.n, plane);
    }
  }
  const int weight_tap = phase.weight_tap(tap), column = tile.column * P::kColumns;
  for (int plane = 0; plane < 2; ++plane) {
    if (P::kWide || plane == 0) ring.acquire((P::kWide ? 1 : 2) * P::kBlocks * kBlockBytes);
    const uint32_t to = ring.slot + (P::kWide ? 0 : plane * P::kBlocks * kBlockBytes);
    if constexpr (P::kTransposed == ptx::Transposed::kNone) {
      ptx::copy_box(to, &args.b, ring.full, block * kBlock, weight_tap, column, 0, plane);
    } else {
      for (int i = 0; i < P::kBlocks; ++i) {
        ptx::copy_box(to + i * kBlockBytes, &args.b, ring.full, column + i * kBlock, weight_tap,
                      block * kBlock, 0, plane);
      }
    }
  }
}

// A and B of a step of the weight's gradient: a box of positions. A's blocks of 64 rows are taps and
// channels of x.
template <class P>
__device__ inline void copy_positions(const ProductArguments& args, const Tile& tile, int step,
                                      Producer& ring) {
  const TrainingPhase& phase = args.phases[tile.phase];
  const Position at = find_box(args.plan, step);
  for (int b = 0; b < P::kBoxes; ++b) {
    ring.acquire(2 * kPlaneBytes);
    for (int i = 0; i < 2; ++i) {
      const int rows = (tile.row * P::kBoxes + b) * 2 + i;
      // Rows too many read another tap's, and are not stored.
      const int tap = rows / args.plan.channel_blocks, block = rows % args.plan.channel_blocks;
      for (int plane = 0; plane < 2; ++plane) {
        ptx::copy_box(ring.slot + plane * kPlaneBytes + i * kBlockBytes, &args.a, ring.full,
                      block * kBlock, phase.input_x(at.x, tap), phase.input_y(at.y, tap), at.n, plane);
      }
    }
  }
  const int x = phase.x.out_origin + at.x * phase.x.out_step;
  const int y = phase.y.out_origin + at.y * phase.y.out_step;
  for (int plane = 0; plane < 2; ++plane) {
    if (P::kWide || plane == 0) ring.acquire((P::kWide ? 1 : 2) * P::kBlocks * kBlockBytes);
    const uint32_t to = ring.slot + (P::kWide ? 0 : plane * P::kBlocks * kBlockBytes);
    for (int i = 0; i < P::kBlocks; ++i) {
      ptx::copy_box(to + i * kBlockBytes, &args.b, ring.full, tile.column * P::kColumns + i * kBlock, x, y,
                    at.n, plane);
    }
  }
}

template <class P>
__device__ void produce(const ProductArguments& args, Shared& shared) {
  Producer ring{shared};
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

struct Consumer {
  Shared& shared;
  bool leader;
  Cursor at = {};

  __device__ uint32_t wait() const {
    ptx::barrier_wait(ptx::shared_address(&shared.full[at.slot]), at.parity);
    return ptx::shared_address(shared.slots[at.slot]);
  }
  __device__ void release(int slot) const {
    if (leader) ptx::barrier_arrive(ptx::shared_address(&shared.empty[slot]));
  }
};

// sums += a (64 x 64) b (columns x 64)^T
template <class P>
__device__ __forceinline__ void multiply(float* sums, uint32_t a, uint32_t b) {
  constexpr bool kA = P::kTransposed == ptx::Transposed::kBoth;
  constexpr bool kB = P::kTransposed != ptx::Transposed::kNone;
  const uint64_t of_a = kA ? ptx::transposed_descriptor(a) : ptx::tile_descriptor(a);
  const uint64_t of_b = kB ? ptx::transposed_descriptor(b) : ptx::tile_descriptor(b);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    ptx::wgmma<P::kColumns, false, P::kTransposed>(sums, of_a + (kA ? 128 : 2) * k,
                                                   of_b + (kB ? 128 : 2) * k);
  }
}

template <class P>
using Sums = float[P::kBoxes][P::kColumns / 2];

template <class P>
__device__ __forceinline__ void consume_step(Sums<P>& sums, int warpgroup, Consumer& ring) {
  const int first = ring.at.slot;
  uint32_t a = ring.wait();
  int second = -1;
  ring.at.advance();
  if constexpr (P::kBoxes == 1) {
    a += warpgroup * kBlockBytes;
  } else {
    // Both wait for both: who lets a barrier's phase pass unseen takes it for the next of the same parity.
    second = ring.at.slot;
    const uint32_t other = ring.wait();
    ring.at.advance();
    if (warpgroup == 1) a = other;
  }
  const uint32_t b = ring.wait();
  const int b_slot = ring.at.slot;
  ring.at.advance();
  ptx::wgmma_fence();
  if constexpr (P::kWide) {
    multiply<P>(sums[0], a, b);
    multiply<P>(sums[0], a + kPlaneBytes, b);
    ptx::wgmma_commit();
    const uint32_t b_lo = ring.wait();
    multiply<P>(sums[0], a, b_lo);
    ptx::wgmma_commit();
    ptx::wgmma_wait<1>();
    ring.release(b_slot);
    ptx::wgmma_wait<0>();
    ring.release(ring.at.slot);
    ring.at.advance();
  } else {
#pragma unroll
    for (int m = 0; m < P::kBoxes; ++m) {
      const uint32_t rows = a + m * kBlockBytes;
      multiply<P>(sums[m], rows, b);
      multiply<P>(sums[m], rows + kPlaneBytes, b);
      multiply<P>(sums[m], rows, b + P::kBlocks * kBlockBytes);
    }
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>();
    ring.release(b_slot);
  }
  ring.release(first);
  if (second >= 0) ring.release(second);
}

// Two neighbouring numbers, of which `columns` exist.
__device__ inline void store_pair(float* to, float x, float y, int columns) {
  if (columns > 1 && reinterpret_cast<uintptr_t>(to) % 8 == 0) {
    *reinterpret_cast<float2*>(to) = make_float2(x, y);
    return;
  }
  if (columns > 0) to[0] = x;
  if (columns > 1) to[1] = y;
}

// What a row's sums become.
__device__ inline void finish_pair(const ProductArguments& args, float* to, int column, float x, float y) {
  const int columns = args.columns - column;
  float v[2] = {x, y};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    if (i >= columns) continue;
    if (args.bias != nullptr) v[i] += args.bias[column + i];
    if (args.accumulate) v[i] += to[i];
    v[i] = activate(v[i], args.activation, args.alpha);
  }
  store_pair(to, v[0], v[1], columns);
}

// Where row `row` (of 128) of a box lies in the map that is made; null: nowhere.
__device__ inline float* find_row(const ProductArguments& args, const TrainingPhase& phase, int box, int row) {
  const Box& shape = args.plan.box;
  const Position at = find_box(args.plan, box);
  const int x = at.x + (row & ((1 << shape.log2_w) - 1));
  const int y = at.y + (row >> shape.log2_w & ((1 << shape.log2_h) - 1));
  const int n = at.n + (row >> (shape.log2_w + shape.log2_h));
  if (n >= args.images || y >= phase.y.out || x >= phase.x.out) return nullptr;
  return args.out + n * args.out_image_floats + phase.output_pixel(y, x) * args.out_pitch;
}

// Where row `row` (of 64) of block `block` of rows of the weight's gradient lies in a part's sums.
__device__ inline float* find_line(const ProductArguments& args, const TrainingPhase& phase, int block, int row) {
  const int tap = block / args.plan.channel_blocks;
  const int channel = block % args.plan.channel_blocks * kBlock + row;
  if (tap >= phase.taps() || channel >= args.channels) return nullptr;
  return args.out + (int64_t{phase.weight_tap(tap)} * args.channels + channel) * args.out_pitch;
}

template <class P>
__device__ void store_tile(const ProductArguments& args, const Tile& tile, int warpgroup, Sums<P>& sums,
                           int steps) {
  const TrainingPhase& phase = args.phases[tile.phase];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(threadIdx.x) / 32 % 4 * 16 + lane / 4;
  const float makes_up = 1.0f + kLostAnAddition * 12.0f * static_cast<float>(steps);
#pragma unroll
  for (int m = 0; m < P::kBoxes; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int r = row + 8 * half;
      float* line;
      if constexpr (P::kWeight) {
        line = find_line(args, phase, (tile.row * 2 + warpgroup) * P::kBoxes + m, r);
      } else if constexpr (P::kBoxes == 1) {
        line = find_row(args, phase, tile.row, warpgroup * 64 + r);
      } else {
        line = find_row(args, phase, tile.row * 2 + warpgroup, m * 64 + r);
      }
      if (line == nullptr) continue;
      line += tile.split * args.part_floats;
#pragma unroll
      for (int j = 0; j < P::kColumns / 8; ++j) {
        const int column = tile.column * P::kColumns + 8 * j + lane % 4 * 2;
        if (column >= args.columns) continue;
        const float x = sums[m][4 * j + 2 * half] * makes_up, y = sums[m][4 * j + 2 * half + 1] * makes_up;
        if (!P::kWeight && args.finishes) {
          finish_pair(args, line + column, column, x, y);
        } else {
          store_pair(line + column, x, y, args.columns - column);
        }
      }
    }
  }
}

template <class P>
__device__ void consume(const ProductArguments& args, Shared& shared) {
  const int warpgroup = static_cast<int>(threadIdx.x) / 128;
  Consumer ring{shared, threadIdx.x % 32 == 0};
  for (int64_t index = blockIdx.x; index < args.plan.tiles(); index += gridDim.x) {
    const Tile tile = find_tile(args, static_cast<int>(index));
    Sums<P> sums;
#pragma unroll
    for (auto& part : sums) {
#pragma unroll
      for (float& sum : part) sum = 0.0f;
    }
    int steps = 0;
    for_each_step<P>(args, tile, [&](int) {
      consume_step<P>(sums, warpgroup, ring);
      ++steps;
    });
    store_tile<P>(args, tile, warpgroup, sums, steps);
  }
}

template <ProductKind kKind, ProductShape kShape>
__global__ void __launch_bounds__(kThreads, 1)
    training_product(const __grid_constant__ ProductArguments args) {
  using P = Product<kKind, kShape>;
  extern __shared__ __align__(1024) char memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  if (threadIdx.x == 0) {
    ptx::prefetch_map(&args.a);
    ptx::prefetch_map(&args.b);
    for (int s = 0; s < kSlots; ++s) {
      ptx::barrier_init(ptx::shared_address(&shared.full[s]), 1);
      ptx::barrier_init(ptx::shared_address(&shared.empty[s]), kConsumers / 32);
    }
    ptx::barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x < kConsumers) {
    ptx::take_registers<240>();  // 240 * 256 + 24 * 128 of the 65,536
    consume<P>(args, shared);
  } else {
    ptx::give_registers<24>();
    if (threadIdx.x == kConsumers) produce<P>(args, shared);
  }
}

template <ProductKind kKind, ProductShape kShape>
void launch_variant(const ProductArguments& args, unsigned ctas, cudaStream_t stream) {
  constexpr int kBytes = sizeof(Shared);
  allow_shared(training_product<kKind, kShape>, kBytes);
  training_product<kKind, kShape><<<ctas, kThreads, kBytes, stream>>>(args);
  FACEGEN_CUDA_CHECK_LAUNCH("a product of training");
}

template <ProductKind kKind>
void launch_kind(const ProductArguments& args, unsigned ctas, cudaStream_t stream) {
  switch (args.plan.shape) {
    case ProductShape::kWide: return launch_variant<kKind, ProductShape::kWide>(args, ctas, stream);
    case ProductShape::kTall: return launch_variant<kKind, ProductShape::kTall>(args, ctas, stream);
    case ProductShape::kNarrow: return launch_variant<kKind, ProductShape::kNarrow>(args, ctas, stream);
  }
}

}  // namespace

void launch_product(const ProductArguments& args, int multiprocessors, cudaStream_t stream) {
  const auto ctas = static_cast<unsigned>(std::min<int64_t>(args.plan.tiles(), multiprocessors));
  switch (args.plan.kind) {
    case ProductKind::kForward: return launch_kind<ProductKind::kForward>(args, ctas, stream);
    case ProductKind::kInput: return launch_kind<ProductKind::kInput>(args, ctas, stream);
    case ProductKind::kWeight: return launch_kind<ProductKind::kWeight>(args, ctas, stream);
  }
}

}  // namespace facegen::cuda::hopper
