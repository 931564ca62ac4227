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
//   shared memory: a ring of 6 slots of 32 KiB, each with a `full` and an `empty` barrier; of narrow tiles
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

#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/training/product_ring.cuh"
#include "cuda/hopper/training/product_store.cuh"

namespace facegen::cuda::hopper {
namespace {

using namespace product;

constexpr int kThreads = kConsumers + 128;

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

// `has_rows`: of the warpgroup; else, of a tile that is not wide, it only gives the step's slots back.
template <class P>
__device__ __forceinline__ void consume_step(Sums<P>& sums, int warpgroup, bool has_rows, Consumer<P>& ring) {
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
  if (!P::kWide && !has_rows) {
    ring.release(b_slot);
    ring.release(first);
    if (second >= 0) ring.release(second);
    return;
  }
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

template <class P>
__device__ void consume(const ProductArguments& args, Shared<P>& shared) {
  const int warpgroup = static_cast<int>(threadIdx.x) / 128;
  Consumer<P> ring{shared, threadIdx.x % 32 == 0};
  Stages<P> stages{shared.stages[threadIdx.x / 32]};
  for (int64_t index = blockIdx.x; index < args.plan.tiles(); index += gridDim.x) {
    const Tile tile = find_tile(args, static_cast<int>(index));
    Sums<P> sums;
#pragma unroll
    for (auto& part : sums) {
#pragma unroll
      for (float& sum : part) sum = 0.0f;
    }
    int steps = 0;
    const int first_block = (tile.row * 2 + warpgroup) * P::kBoxes;
    const bool has_rows = !P::kWeight || gradient_blocks(args, args.phases[tile.phase], first_block, 1) > 0;
    for_each_step<P>(args, tile, [&](int) {
      consume_step<P>(sums, warpgroup, has_rows, ring);
      ++steps;
    });
    store_tile<P>(args, tile, warpgroup, stages, sums, steps);
  }
  if (threadIdx.x % 32 == 0) ptx::wait_for_reads_of_copies();
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
