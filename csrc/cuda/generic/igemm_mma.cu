// The indirect GEMM on tensor cores by mma.sync, for every GPU from sm_80 on. fit/igemm_plan.h says how the
// product is cut.
//
// Precision "float32": every operand is split into two bfloat16, x = hi + lo, and a product is
//   hi * hi + hi * lo + lo * hi                         (lo * lo, below 2^-16 of it, is left out)
// on tensor cores; "float16" and "tf32" take one product of rounded operands. Tensor cores add
// with truncation, so every kPromote chunks (512 of k) their accumulator is added to a float32 sum.
//
// A block of 8 warps computes 128 rows x 64 columns, a warp 32 x 32. A chunk is 64 bytes of k a row
// (32 bfloat16 or float16, 16 tf32). Fragments of all three types occupy 32 bytes of k a step, in
// the same places, so ldmatrix serves all of them.
//
//   shared memory, twice:  A planes | B planes,  rows of 64 bytes at a pitch of 80: the 8 rows of
//   an 8x8 matrix then start in different groups of 4 banks. 60 KiB for two planes, 30 KiB for one.
#include <cstring>

#include "cuda/generic/igemm.cuh"

namespace facegen::cuda {
namespace {

constexpr int kTileRows = 128, kTileColumns = 64, kThreads = 256;
constexpr int kWarpRows = 32, kWarpColumns = 32;
constexpr int kChunkBytes = 64, kPitch = 80;
constexpr int kStepBytes = 32;  // of k in one mma
static_assert(kThreads / 32 * kWarpRows * kWarpColumns == kTileRows * kTileColumns);
static_assert(kThreads == 2 * kTileRows, "a thread fetches half a row of a chunk of A");
static_assert(kThreads * 16 == kTileColumns * kChunkBytes, "a thread copies 16 bytes a plane of B");

enum class Product { kBf16x3, kFp16, kTf32 };

template <Product P>
struct Scheme {
  static constexpr int kPlanes = P == Product::kBf16x3 ? 2 : 1;
  static constexpr int kElementBytes = P == Product::kTf32 ? 4 : 2;
  static constexpr int kChunk = kChunkBytes / kElementBytes;  // of k
  static constexpr int kPromote = 512 / kChunk;               // chunks
  static constexpr int kRuns = kChunk / 16;  // runs of 8 elements that a thread fetches
  static constexpr int kPlaneA = kTileRows * kPitch, kPlaneB = kTileColumns * kPitch;
  static constexpr int kStage = kPlanes * (kPlaneA + kPlaneB);
  static constexpr int kSharedBytes = 2 * kStage;
  static constexpr int kTileBytes = kTileColumns * kChunkBytes * kPlanes;  // of packed B
};

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

__device__ inline void copy_async_16(uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
}

__device__ inline void wait_copies() { asm volatile("cp.async.wait_all;" ::: "memory"); }

// Four 8x8 matrices of 16-bit elements; lane l names row l % 8 of matrix l / 8.
__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// c (16 x 8) += a (16 x 32 bytes of k) * b (32 bytes of k x 8)
template <Product P>
__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#define FACEGEN_MMA(shape_and_types)                                                       \
  asm volatile("mma.sync.aligned." shape_and_types                                         \
               " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"          \
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                            \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))
  if constexpr (P == Product::kBf16x3) FACEGEN_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
  if constexpr (P == Product::kFp16) FACEGEN_MMA("m16n8k16.row.col.f32.f16.f16.f32");
  if constexpr (P == Product::kTf32) FACEGEN_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
#undef FACEGEN_MMA
}

// Runs of 8 elements on their way from global to shared memory, as they came.
template <Product P>
struct Fetched {
  uint4 raw[Scheme<P>::kRuns][2];
  bool converted;  // raw holds float32 (or, if true, the planes themselves)
};

// Elements 8 * (kRuns * half + run) .. + 7 of a chunk of one row.
template <Product P, bool kByRuns>
__device__ inline void fetch_a(const IgemmArguments& args, const BlockTile& tile,
                               const Source& source, int chunk, int half, Fetched<P>& to) {
  using S = Scheme<P>;
  const TapOffset* taps = args.taps + tile.phase.first_tap;
  const Operand& in = args.in;
  const int k0 = half * S::kRuns * 8;
  if constexpr (kByRuns) {
    const int channel0 = chunk % args.run_chunks * S::kChunk + k0;
    const int64_t start = tap_start(in, source, taps[chunk / args.run_chunks]);
    // The format that the product multiplies needs no conversion.
    const bool split = P == Product::kBf16x3 && in.format == Format::kSplit;
    const bool half_floats = P == Product::kFp16 && in.format == Format::kHalf;
    to.converted = split || half_floats;
#pragma unroll
    for (int run = 0; run < S::kRuns; ++run) {
      const int channel = channel0 + run * 8;
      const int64_t at = start < 0 || channel >= in.c ? -1 : start + channel;
      if (to.converted) {
        const uint4* from = reinterpret_cast<const uint4*>(in.data + 2 * at);
        to.raw[run][0] = at < 0 ? uint4{0, 0, 0, 0} : from[0];
        if (split) to.raw[run][1] = at < 0 ? uint4{0, 0, 0, 0} : from[in.plane / 8];
      } else {
        __align__(16) float x[8];
        load_run(in, at, x);
        to.raw[run][0] = *reinterpret_cast<const uint4*>(x);
        to.raw[run][1] = *reinterpret_cast<const uint4*>(x + 4);
      }
    }
  } else {
    to.converted = false;
#pragma unroll
    for (int run = 0; run < S::kRuns; ++run) {
      __align__(16) float x[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int k = chunk * S::kChunk + k0 + run * 8 + i;
        const int tap = k / in.c;
        const int64_t start = tap < tile.phase.taps ? tap_start(in, source, taps[tap]) : -1;
        x[i] = start < 0 ? 0.0f : load(in, start + k - tap * in.c);
      }
      to.raw[run][0] = *reinterpret_cast<const uint4*>(x);
      to.raw[run][1] = *reinterpret_cast<const uint4*>(x + 4);
    }
  }
}

// Rounds or splits what was fetched, into the planes of A; `to` is the thread's place in plane 0.
template <Product P>
__device__ inline void put_a(const Fetched<P>& from, char* to) {
  using S = Scheme<P>;
#pragma unroll
  for (int run = 0; run < S::kRuns; ++run) {
    char* place = to + run * 8 * S::kElementBytes;
    if (P != Product::kTf32 && from.converted) {
#pragma unroll
      for (int plane = 0; plane < S::kPlanes; ++plane) {
        *reinterpret_cast<uint4*>(place + plane * S::kPlaneA) = from.raw[run][plane];
      }
      continue;
    }
    const auto* x = reinterpret_cast<const float*>(from.raw[run]);
    if constexpr (P != Product::kTf32) {
      __align__(16) uint32_t hi[4], lo[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        split_pair<P == Product::kFp16>(x[2 * i], x[2 * i + 1], hi[i], lo[i]);
      }
      *reinterpret_cast<uint4*>(place) = *reinterpret_cast<const uint4*>(hi);
      if constexpr (P == Product::kBf16x3) {
        *reinterpret_cast<uint4*>(place + S::kPlaneA) = *reinterpret_cast<const uint4*>(lo);
      }
    } else {
      __align__(16) uint32_t t[8];
#pragma unroll
      for (int i = 0; i < 8; ++i) asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(t[i]) : "f"(x[i]));
      *reinterpret_cast<uint4*>(place) = *reinterpret_cast<const uint4*>(t);
      *reinterpret_cast<uint4*>(place + 16) = *reinterpret_cast<const uint4*>(t + 4);
    }
  }
}

// acc += the warp's 32 x 32 part of one chunk; `a` and `b` are this lane's addresses for
// load_matrices in plane 0.
template <Product P>
__device__ inline void multiply_chunk(float (&acc)[2][4][4], uint32_t a, uint32_t b) {
  using S = Scheme<P>;
#pragma unroll
  for (int step = 0; step < kChunkBytes / kStepBytes; ++step) {
    uint32_t a_matrices[S::kPlanes][2][4], b_matrices[S::kPlanes][2][4];
#pragma unroll
    for (int plane = 0; plane < S::kPlanes; ++plane) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int offset = i * 16 * kPitch + step * kStepBytes;
        load_matrices(a_matrices[plane][i], a + plane * S::kPlaneA + offset);
        load_matrices(b_matrices[plane][i], b + plane * S::kPlaneB + offset);
      }
    }
    const auto add_product = [&](int a_plane, int b_plane) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          multiply<P>(acc[i][j], a_matrices[a_plane][i], b_matrices[b_plane][j / 2][j % 2 * 2],
                      b_matrices[b_plane][j / 2][j % 2 * 2 + 1]);
        }
      }
    };
    if constexpr (P == Product::kBf16x3) {
      add_product(1, 0);
      add_product(0, 1);
    }
    add_product(0, 0);
  }
}

// weights: (chunk, column tile, plane, column, 64 bytes of k)
template <Product P, bool kByRuns>
__global__ void __launch_bounds__(kThreads)
    mma_kernel(const __grid_constant__ IgemmArguments args, const char* __restrict__ weights) {
  using S = Scheme<P>;
  extern __shared__ __align__(16) char shared[];
  const BlockTile tile = find_tile<kTileRows>(args);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;

  const int fetch_row = thread / 2, half = thread % 2;
  const Source source = find_source(args, tile, fetch_row);
  Fetched<P> fetched;
  const auto fetch_b = [&](int chunk, int stage) {
    const char* from = weights +
                       (int64_t{tile.phase.first_chunk + chunk} * args.column_tiles +
                        tile.column_tile) * S::kTileBytes + thread * 16;
    char* to = shared + stage * S::kStage + S::kPlanes * S::kPlaneA + thread / 4 * kPitch +
               thread % 4 * 16;
#pragma unroll
    for (int plane = 0; plane < S::kPlanes; ++plane) {
      copy_async_16(shared_address(to + plane * S::kPlaneB),
                    from + plane * kTileColumns * kChunkBytes);
    }
  };
  const auto put = [&](int stage) {
    put_a<P>(fetched, shared + stage * S::kStage + fetch_row * kPitch +
                          half * (kChunkBytes / 2));
  };

  const int row0 = warp % 4 * kWarpRows, column0 = warp / 4 * kWarpColumns;
  // Matrices of A: rows 0-7 | rows 8-15 | the same 16 bytes on; of B: columns 0-7 | 16 bytes on |
  // columns 8-15 | 16 bytes on.
  const uint32_t a_lane = shared_address(shared) + (row0 + lane % 16) * kPitch + lane / 16 * 16;
  const uint32_t b_lane = shared_address(shared) + S::kPlanes * S::kPlaneA +
                          (column0 + lane / 16 * 8 + lane % 8) * kPitch + lane / 8 % 2 * 16;

  float sum[2][4][4] = {}, acc[2][4][4] = {};
  const auto promote = [&] {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          sum[i][j][e] += acc[i][j][e];
          acc[i][j][e] = 0.0f;
        }
      }
    }
  };
  const int chunks = tile.phase.chunks;
  if (chunks > 0) {
    fetch_b(0, 0);
    fetch_a<P, kByRuns>(args, tile, source, 0, half, fetched);
    put(0);
    wait_copies();
  }
  __syncthreads();
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const int stage = chunk % 2;
    const bool more = chunk + 1 < chunks;
    if (more) {
      fetch_b(chunk + 1, 1 - stage);
      fetch_a<P, kByRuns>(args, tile, source, chunk + 1, half, fetched);
    }
    multiply_chunk<P>(acc, a_lane + stage * S::kStage, b_lane + stage * S::kStage);
    if ((chunk + 1) % S::kPromote == 0) promote();
    if (more) {
      put(1 - stage);
      wait_copies();
    }
    __syncthreads();
  }
  promote();

  // Lane l has columns 2 (l % 4) and the next of rows l / 4 and l / 4 + 8 of every 16 x 8 part.
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int r = row0 + i * 8 + lane / 4;
    if (r >= tile.rows) continue;
    const Row row = find_row(tile.phase, tile.first_row + r);
    const int64_t pixel = output_pixel(tile.phase, row, args.out.w);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int c = tile.column_tile * kTileColumns + column0 + j * 8 + lane % 4 * 2;
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        if (c + e < args.out.c) {
          finish(args.epilogue, args.out, row.image, pixel, c + e, sum[i / 2][j][i % 2 * 2 + e]);
        }
      }
    }
  }
}

// One weight, as the planes of B hold it.
template <Product P>
void put_weight(float w, char* plane0, int64_t plane_bytes) {
  if constexpr (P == Product::kBf16x3) {
    const __nv_bfloat16 hi = __float2bfloat16(w);
    const __nv_bfloat16 lo = __float2bfloat16(w - __bfloat162float(hi));
    std::memcpy(plane0, &hi, 2);
    std::memcpy(plane0 + plane_bytes, &lo, 2);
  } else if constexpr (P == Product::kFp16) {
    const __half h = __float2half(w);
    std::memcpy(plane0, &h, 2);
  } else {
    // To 10 bits of mantissa, halves away from zero, as cvt.rna.tf32 does.
    uint32_t bits;
    std::memcpy(&bits, &w, 4);
    if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & ~0x1fffu;
    std::memcpy(plane0, &bits, 4);
  }
}

template <Product P>
class MmaGemm final : public IgemmLayer<kTileRows, kTileColumns> {
 public:
  explicit MmaGemm(const GemmSpec& spec) : IgemmLayer(spec, S::kChunk) {
    std::vector<char> packed(
        static_cast<std::size_t>(int64_t{plan_.total_chunks} * column_tiles() * S::kTileBytes));
    for_each_weight(spec.step, [&](int64_t tile, int k, int column, float weight) {
      put_weight<P>(weight,
                    packed.data() + tile * S::kTileBytes + column * kChunkBytes +
                        k * S::kElementBytes,
                    kTileColumns * kChunkBytes);
    });
    weights_ = keep(packed);
    // More than 48 KiB must be asked for, once a device.
    FACEGEN_CUDA_CHECK(cudaFuncSetAttribute(
        kernel(), cudaFuncAttributeMaxDynamicSharedMemorySize, S::kSharedBytes));
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    run_tiles(images, operands, [&](unsigned blocks, const IgemmArguments& args) {
      kernel()<<<blocks, kThreads, S::kSharedBytes, stream>>>(args, weights_);
    });
  }

 private:
  using S = Scheme<P>;

  auto kernel() const -> void (*)(IgemmArguments, const char*) {
    return plan_.by_runs ? mma_kernel<P, true> : mma_kernel<P, false>;
  }

  const char* weights_;
};

}  // namespace

std::unique_ptr<Gemm> make_mma_gemm(const GemmSpec& spec) {
  switch (spec.target.precision) {
    case Precision::kFloat16: return std::make_unique<MmaGemm<Product::kFp16>>(spec);
    case Precision::kTf32: return std::make_unique<MmaGemm<Product::kTf32>>(spec);
    default: return std::make_unique<MmaGemm<Product::kBf16x3>>(spec);
  }
}

}  // namespace facegen::cuda
