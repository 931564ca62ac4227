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
// float32 operands are split, x = hi + lo, both bfloat16:  C += A_hi B_hi + A_lo B_hi + A_hi B_lo. Those of
// bfloat16 or float16 have one plane, and one product.
//
//   shared memory: a ring of 7 slots of 32 KiB, each with a `full` and an `empty` barrier; of narrow tiles
//   of forward and input, whose sums are short in layers of few channels, 3 slots, and two CTAs a multiprocessor
//     A   128 rows x 64, hi | lo; tall and narrow tiles: two of them a step
//     B   wide: 256 columns x 64, hi in one slot, lo in the next; else up to 128 columns, hi | lo
//
//   warpgroups 0, 1   64 rows each of a wide tile, else 128; up to 128 sums a thread, in registers
//   warpgroup 2       one thread fills the ring, as far ahead as it has slots, also across tiles
//
// The sum of a tile is over parts, each a tile of its own, which another kernel adds in order. Tensor cores
// round towards zero: kLostAnAddition of a sum is lost each time 16 products are added to it, in the mean
// of numbers of any sign, which is made up for at the end.
#include "cuda/hopper/training/product.h"

#include <algorithm>

#include "cuda/generic/element.cuh"
#include "cuda/generic/operand_scale.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/training/product_ring.cuh"

namespace facegen::cuda::hopper {
namespace {

using namespace product;

constexpr int kConsumers = 256, kThreads = 384;
constexpr float kLostAnAddition = 1.5e-8f;  // see cuda/fit/gemm_plan.cpp

// sums += a (64 x 64) b (columns x 64)^T
template <class P>
__device__ __forceinline__ void multiply(float* sums, uint32_t a, uint32_t b) {
  constexpr bool kA = P::kTransposed == ptx::Transposed::kBoth;
  constexpr bool kB = P::kTransposed != ptx::Transposed::kNone;
  const uint64_t of_a = kA ? ptx::transposed_descriptor(a) : ptx::tile_descriptor(a);
  const uint64_t of_b = kB ? ptx::transposed_descriptor(b) : ptx::tile_descriptor(b);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    ptx::wgmma<P::kColumns, P::kHalf, P::kTransposed>(sums, of_a + (kA ? 128 : 2) * k,
                                                   of_b + (kB ? 128 : 2) * k);
  }
}

template <class P>
using Sums = float[P::kBoxes][P::kColumns / 2];

template <class P>
__device__ __forceinline__ void consume_step(Sums<P>& sums, int warpgroup, Consumer<P>& ring) {
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
  if constexpr (P::kPlanes == 1) {
#pragma unroll
    for (int m = 0; m < P::kBoxes; ++m) multiply<P>(sums[m], a + m * kBlockBytes, b);
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>();
    ring.release(b_slot);
  } else if constexpr (P::kWide) {
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

// Of four lanes that have two neighbouring columns of each of four blocks of 8, each gets a whole block.
__device__ __forceinline__ void gather_block(const float* sums, int quad, float (&v)[8]) {
  float half[2][4];  // of blocks 2 * i + quad % 2, by i: columns of lane 2 * (quad / 2) and of the next
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      const float even = sums[8 * i + e], odd = sums[8 * i + 4 + e];
      const float kept = quad % 2 == 0 ? even : odd;
      const float other = __shfl_xor_sync(0xFFFFFFFFu, quad % 2 == 0 ? odd : even, 1);
      half[i][e] = quad % 2 == 0 ? kept : other;
      half[i][2 + e] = quad % 2 == 0 ? other : kept;
    }
  }
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const float kept = quad < 2 ? half[0][e] : half[1][e];
    const float other = __shfl_xor_sync(0xFFFFFFFFu, quad < 2 ? half[1][e] : half[0][e], 2);
    v[e] = quad < 2 ? kept : other;
    v[4 + e] = quad < 2 ? other : kept;
  }
}

// Eight neighbouring numbers, of which `columns` exist; `whole`: all, and to is a multiple of 16 bytes.
__device__ __forceinline__ void store_block(float* to, const float (&v)[8], int columns, bool whole) {
  if (whole) {
    reinterpret_cast<float4*>(to)[0] = make_float4(v[0], v[1], v[2], v[3]);
    reinterpret_cast<float4*>(to)[1] = make_float4(v[4], v[5], v[6], v[7]);
    return;
  }
#pragma unroll
  for (int e = 0; e < 8; ++e) {
    if (e < columns) to[e] = v[e];
  }
}

// What sums of a row become, from `column` on.
__device__ __forceinline__ void finish_block(const ProductArguments& args, float* to, int column, float (&v)[8],
                                             bool whole) {
  const int columns = args.columns - column;
#pragma unroll
  for (int e = 0; e < 8; ++e) {
    if (!whole && e >= columns) continue;
    if (args.bias != nullptr) v[e] += args.bias[column + e];
    if (args.accumulate) v[e] += to[e];
    v[e] = activate(v[e], args.activation, args.alpha);
  }
  store_block(to, v, columns, whole);
  if (args.operand.to == nullptr) return;  // else columns are whole blocks
  const int64_t at = to - args.out;
  uint32_t hi[4], lo[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) split_pair<false>(v[2 * i], v[2 * i + 1], hi[i], lo[i]);
  store16(args.operand.to + at, hi);
  if (args.operand.format == OperandFormat::kSplit) store16(args.operand.to + args.operand.plane + at, lo);
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
  const int channel = block % args.plan.channel_blocks * kBlockChannels + row;
  if (tap >= phase.taps() || channel >= args.channels) return nullptr;
  return args.out + (int64_t{phase.weight_tap(tap)} * args.channels + channel) * args.out_pitch;
}

template <class P>
__device__ void store_tile(const ProductArguments& args, const Tile& tile, int warpgroup, Sums<P>& sums,
                           int steps) {
  const TrainingPhase& phase = args.phases[tile.phase];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = static_cast<int>(threadIdx.x) / 32 % 4 * 16 + lane / 4;
  float makes_up = 1.0f + kLostAnAddition * (P::kPlanes == 2 ? 12.0f : 4.0f) * static_cast<float>(steps);
  if (args.largest != nullptr) makes_up /= operand_scale(*args.largest);
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
      const bool exists = line != nullptr;
      if (exists) line += tile.split * args.part_floats;
#pragma unroll
      for (int group = 0; group < P::kColumns / 32; ++group) {
        float of_half[16], v[8];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          of_half[4 * j] = sums[m][16 * group + 4 * j + 2 * half] * makes_up;
          of_half[4 * j + 1] = sums[m][16 * group + 4 * j + 2 * half + 1] * makes_up;
        }
        gather_block(of_half, lane % 4, v);
        const int column = tile.column * P::kColumns + 32 * group + 8 * (lane % 4);
        if (!exists || column >= args.columns) continue;
        const bool whole = column + 8 <= args.columns && reinterpret_cast<uintptr_t>(line) % 16 == 0;
        if (!P::kWeight && args.finishes) {
          finish_block(args, line + column, column, v, whole);
        } else {
          store_block(line + column, v, args.columns - column, whole);
        }
      }
    }
  }
}

template <class P>
__device__ void consume(const ProductArguments& args, Shared<P>& shared) {
  const int warpgroup = static_cast<int>(threadIdx.x) / 128;
  Consumer<P> ring{shared, threadIdx.x % 32 == 0};
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

template <ProductKind kKind, ProductShape kShape, OperandFormat kFormat>
__global__ void __launch_bounds__(kThreads, product_ctas(kKind, kShape))
    training_product(const __grid_constant__ ProductArguments args) {
  using P = Product<kKind, kShape, kFormat>;
  extern __shared__ __align__(1024) char memory[];
  Shared<P>& shared = *reinterpret_cast<Shared<P>*>(memory);
  if (threadIdx.x == 0) {
    ptx::prefetch_map(&args.a);
    ptx::prefetch_map(&args.b);
    for (int s = 0; s < P::kSlots; ++s) {
      ptx::barrier_init(ptx::shared_address(&shared.full[s]), 1);
      ptx::barrier_init(ptx::shared_address(&shared.empty[s]), kConsumers / 32);
    }
    ptx::barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x < kConsumers) {
    // What a CTA starts with, 168 or 80 a thread, is shared anew: more than that would be waited for.
    ptx::take_registers<P::kCtas == 1 ? 240 : 104>();
    consume<P>(args, shared);
  } else {
    ptx::give_registers<24>();
    if (threadIdx.x == kConsumers) produce<P>(args, shared);
  }
}

template <ProductKind kKind, ProductShape kShape, OperandFormat kFormat>
void launch_variant(const ProductArguments& args, unsigned ctas, cudaStream_t stream) {
  constexpr int kBytes = sizeof(Shared<Product<kKind, kShape, kFormat>>);
  static_assert(product_ctas(kKind, kShape) * (kBytes + 1024) <= 228 << 10, "the shared memory of a multiprocessor");
  allow_shared(training_product<kKind, kShape, kFormat>, kBytes);
  training_product<kKind, kShape, kFormat><<<ctas, kThreads, kBytes, stream>>>(args);
  FACEGEN_CUDA_CHECK_LAUNCH("a product of training");
}

template <ProductKind kKind, ProductShape kShape>
void launch_shape(const ProductArguments& args, unsigned ctas, cudaStream_t stream) {
  switch (args.plan.format) {
    case OperandFormat::kSplit:
      return launch_variant<kKind, kShape, OperandFormat::kSplit>(args, ctas, stream);
    case OperandFormat::kBfloat16:
      return launch_variant<kKind, kShape, OperandFormat::kBfloat16>(args, ctas, stream);
    case OperandFormat::kFloat16:
      return launch_variant<kKind, kShape, OperandFormat::kFloat16>(args, ctas, stream);
  }
}

template <ProductKind kKind>
void launch_kind(const ProductArguments& args, unsigned ctas, cudaStream_t stream) {
  switch (args.plan.shape) {
    case ProductShape::kWide: return launch_shape<kKind, ProductShape::kWide>(args, ctas, stream);
    case ProductShape::kTall: return launch_shape<kKind, ProductShape::kTall>(args, ctas, stream);
    case ProductShape::kNarrow: return launch_shape<kKind, ProductShape::kNarrow>(args, ctas, stream);
  }
}

}  // namespace

void launch_product(const ProductArguments& args, int multiprocessors, cudaStream_t stream) {
  const auto ctas = static_cast<unsigned>(
      std::min<int64_t>(args.plan.tiles(), multiprocessors * product_ctas(args.plan.kind, args.plan.shape)));
  switch (args.plan.kind) {
    case ProductKind::kForward: return launch_kind<ProductKind::kForward>(args, ctas, stream);
    case ProductKind::kInput: return launch_kind<ProductKind::kInput>(args, ctas, stream);
    case ProductKind::kWeight: return launch_kind<ProductKind::kWeight>(args, ctas, stream);
  }
}

}  // namespace facegen::cuda::hopper
