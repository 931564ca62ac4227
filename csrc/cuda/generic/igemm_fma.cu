// The indirect GEMM by plain float32 multiply-adds: precision "strict", and the reference that any
// GPU can run. fit/igemm_plan.h says how the product is cut.
//
// A block of 256 threads computes 128 rows x 64 columns; a thread 8 x 4 of them, in registers. Per
// chunk of 16 of k, A (transposed) and B lie in shared memory, twice: while one copy is multiplied,
// the next chunk travels through registers into the other.
//
//   shared memory: 2 x (16 x 132 + 16 x 64) floats = 25 KiB; each k costs a thread 3 vector reads
//   for 32 multiply-adds. An output is the sum of chains of 256 fused multiply-adds, in the order of k:
//   the error of one long chain grows with its length (1.1e-6 of the rms at K = 4,608).
#include "cuda/generic/igemm.cuh"

namespace facegen::cuda {
namespace {

constexpr int kTileRows = 128, kTileColumns = 64, kChunk = 16, kThreads = 256;
constexpr int kChainChunks = 256 / kChunk;
constexpr int kRowsAThread = 8, kColumnsAThread = 4;
// Vector reads need a multiple of 4; 132 also sets neighbouring k apart by 4 banks.
constexpr int kRowPitch = kTileRows + 4;
static_assert(kThreads * kRowsAThread * kColumnsAThread == kTileRows * kTileColumns);
static_assert(kThreads == 2 * kTileRows, "a thread fetches half a row of a chunk of A");
static_assert(kThreads * 4 == kChunk * kTileColumns, "a thread fetches one float4 of B");

struct Shared {
  float a[2][kChunk][kRowPitch];    // (k, row)
  float b[2][kChunk][kTileColumns]; // (k, column)
};

// Elements 8 * half .. + 7 of a chunk of one row.
template <bool kByRuns>
__device__ inline void fetch_a(const IgemmArguments& args, const BlockTile& tile,
                               const Source& source, int chunk, int half, float (&x)[8]) {
  const TapOffset* taps = args.taps + tile.phase.first_tap;
  if constexpr (kByRuns) {
    const int channel = chunk % args.run_chunks * kChunk + half * 8;
    const int64_t start = tap_start(args.in, source, taps[chunk / args.run_chunks]);
    load_run(args.in, start < 0 || channel >= args.in.c ? -1 : start + channel, x);
  } else {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int k = chunk * kChunk + half * 8 + i;
      const int tap = k / args.in.c;
      const int64_t start =
          tap < tile.phase.taps ? tap_start(args.in, source, taps[tap]) : -1;
      x[i] = start < 0 ? 0.0f : load(args.in, start + k - tap * args.in.c);
    }
  }
}

// weights: (chunk, column tile, k, column)
template <bool kByRuns>
__global__ void __launch_bounds__(kThreads)
    fma_kernel(const __grid_constant__ IgemmArguments args, const float* __restrict__ weights) {
  __shared__ __align__(16) Shared shared;
  const BlockTile tile = find_tile<kTileRows>(args);
  const int thread = static_cast<int>(threadIdx.x);
  const int fetch_row = thread % kTileRows, half = thread / kTileRows;
  const Source source = find_source(args, tile, fetch_row);
  const auto* b_tiles = reinterpret_cast<const float4*>(weights) + thread;
  const auto b_tile = [&](int chunk) {
    return b_tiles[(int64_t{tile.phase.first_chunk + chunk} * args.column_tiles +
                    tile.column_tile) * (kChunk * kTileColumns / 4)];
  };

  float a_next[8];
  float4 b_next;
  const auto fetch = [&](int chunk) {
    fetch_a<kByRuns>(args, tile, source, chunk, half, a_next);
    b_next = b_tile(chunk);
  };
  const auto put = [&](int stage) {
#pragma unroll
    for (int i = 0; i < 8; ++i) shared.a[stage][half * 8 + i][fetch_row] = a_next[i];
    reinterpret_cast<float4*>(shared.b[stage])[thread] = b_next;
  };

  const int row0 = thread / 16 * kRowsAThread, column0 = thread % 16 * kColumnsAThread;
  float sum[kRowsAThread][kColumnsAThread] = {}, chain[kRowsAThread][kColumnsAThread] = {};
  const auto end_chain = [&] {
#pragma unroll
    for (int i = 0; i < kRowsAThread; ++i) {
#pragma unroll
      for (int j = 0; j < kColumnsAThread; ++j) {
        sum[i][j] += chain[i][j];
        chain[i][j] = 0.0f;
      }
    }
  };
  if (tile.phase.chunks > 0) {
    fetch(0);
    put(0);
  }
  __syncthreads();
  for (int chunk = 0; chunk < tile.phase.chunks; ++chunk) {
    const int stage = chunk % 2;
    const bool more = chunk + 1 < tile.phase.chunks;
    if (more) fetch(chunk + 1);
#pragma unroll
    for (int k = 0; k < kChunk; ++k) {
      __align__(16) float a[kRowsAThread], b[kColumnsAThread];
#pragma unroll
      for (int i = 0; i < kRowsAThread; i += 4) {
        *reinterpret_cast<float4*>(a + i) =
            *reinterpret_cast<const float4*>(&shared.a[stage][k][row0 + i]);
      }
      *reinterpret_cast<float4*>(b) = *reinterpret_cast<const float4*>(&shared.b[stage][k][column0]);
#pragma unroll
      for (int i = 0; i < kRowsAThread; ++i) {
#pragma unroll
        for (int j = 0; j < kColumnsAThread; ++j) chain[i][j] = fmaf(a[i], b[j], chain[i][j]);
      }
    }
    if ((chunk + 1) % kChainChunks == 0) end_chain();
    if (more) put(1 - stage);
    __syncthreads();
  }
  end_chain();

#pragma unroll
  for (int i = 0; i < kRowsAThread; ++i) {
    if (row0 + i >= tile.rows) break;
    const Row row = find_row(tile.phase, tile.first_row + row0 + i);
    const int64_t pixel = output_pixel(tile.phase, row, args.out.w);
#pragma unroll
    for (int j = 0; j < kColumnsAThread; ++j) {
      const int c = tile.column_tile * kTileColumns + column0 + j;
      if (c < args.out.c) finish(args.epilogue, args.out, row.image, pixel, c, sum[i][j]);
    }
  }
}

class FmaGemm final : public IgemmLayer<kTileRows, kTileColumns> {
 public:
  explicit FmaGemm(const GemmSpec& spec) : IgemmLayer(spec, kChunk) {
    std::vector<float> packed(
        static_cast<std::size_t>(int64_t{plan_.total_chunks} * kChunk * plan_.columns_padded));
    for_each_weight(spec.step, [&](int64_t tile, int k, int column, float weight) {
      packed[static_cast<std::size_t>((tile * kChunk + k) * kTileColumns + column)] = weight;
    });
    weights_ = keep(packed);
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    run_tiles(images, operands, [&](unsigned blocks, const IgemmArguments& args) {
      const auto kernel = plan_.by_runs ? fma_kernel<true> : fma_kernel<false>;
      kernel<<<blocks, kThreads, 0, stream>>>(args, weights_);
    });
  }

 private:
  const float* weights_;
};

}  // namespace

std::unique_ptr<Gemm> make_fma_gemm(const GemmSpec& spec) {
  return std::make_unique<FmaGemm>(spec);
}

}  // namespace facegen::cuda
