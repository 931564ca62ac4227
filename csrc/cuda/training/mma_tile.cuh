// A tile of a product of float32 matrices on tensor cores: C (64 x 64) += A (64 x k) B (k x 64), in
// chunks of 32 of k, by 4 warps, each 32 x 32 of C.
//
// Every operand is split into two bfloat16, x = hi + lo, and a product is  hi hi + hi lo + lo hi  (lo lo,
// below 2^-16 of it, is left out). Tensor cores add with truncation: every kPromote chunks (512 of k)
// their accumulators are added to float32 sums.
//
// A chunk of an operand is two planes (hi, lo) in shared memory, in one of two layouts, as its numbers
// come from memory; ldmatrix transposes the second:
//
//   rows:   (64 rows or columns, 32 of k)   64 bytes a row at a pitch of 80
//   depth:  (32 of k, 64 rows or columns)  128 bytes a k   at a pitch of 144
//
// Eight neighbouring lines start in different groups of 4 banks in both. Of either a thread stores 16
// numbers that follow one another: 64 x 2 or 32 x 4 threads.
#pragma once

#include <cstdint>

#include "cuda/fit/training_plan.h"
#include "cuda/generic/element.cuh"

namespace facegen::cuda::mma_tile {

constexpr int kTile = kTrainingTile, kChunk = kTrainingChunk, kThreads = 128;
constexpr int kPart = 32;  // rows and columns of a warp
constexpr int kPromote = 512 / kChunk;
static_assert(kThreads / 32 * kPart * kPart == kTile * kTile);
static_assert(kThreads * 16 == kTile * kChunk, "a thread stores 16 numbers of a chunk");

template <bool kDepth>
struct Layout {
  static constexpr int kPitch = kDepth ? 144 : 80;
  static constexpr int kPlane = (kDepth ? kChunk : kTile) * kPitch;
  static constexpr int kBytes = 2 * kPlane;
  static constexpr int kThreadsOfLine = kDepth ? 4 : 2;
  static constexpr int kStep = kDepth ? 16 * kPitch : 32;  // bytes from 16 of k to the next
  static constexpr int kSixteenRows = kDepth ? 32 : 16 * kPitch;  // bytes from 16 rows to the next
};

// The line that a thread stores to, and where in it its 16 numbers begin.
template <bool kDepth>
__device__ inline int line_of(int thread) {
  return thread / Layout<kDepth>::kThreadsOfLine;
}
template <bool kDepth>
__device__ inline int first_of(int thread) {
  return thread % Layout<kDepth>::kThreadsOfLine * 16;
}

template <bool kDepth>
__device__ inline void store(char* chunk, int thread, const float (&v)[16]) {
  using L = Layout<kDepth>;
  __align__(16) uint32_t hi[8], lo[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) split_pair<false>(v[2 * i], v[2 * i + 1], hi[i], lo[i]);
  char* const to = chunk + line_of<kDepth>(thread) * L::kPitch + first_of<kDepth>(thread) * 2;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    *reinterpret_cast<uint4*>(to + 16 * half) = *reinterpret_cast<const uint4*>(hi + 4 * half);
    *reinterpret_cast<uint4*>(to + L::kPlane + 16 * half) =
        *reinterpret_cast<const uint4*>(lo + 4 * half);
  }
}

__device__ inline uint32_t shared_address(const void* p) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Four 8x8 matrices of bfloat16; lane l names line l % 8 of matrix l / 8.
template <bool kTransposed>
__device__ inline void load_matrices(uint32_t (&r)[4], uint32_t address) {
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(address)
                 : "memory");
  }
}

// c (16 x 8) += a (16 x 16) * b (16 x 8)
__device__ inline void multiply(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"
      " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Bytes from a chunk's start to the line that a lane names, for the part of C from `first` on. Matrices
// of A, as mma wants them: rows 0-7 | rows 8-15 | both again 8 of k on. Of B: columns 0-7 | 8 of k on |
// columns 8-15 | 8 of k on.
template <bool kDepth>
__device__ inline int a_lane(int first, int lane) {
  using L = Layout<kDepth>;
  if constexpr (kDepth) {
    return (lane / 16 * 8 + lane % 8) * L::kPitch + first * 2 + lane / 8 % 2 * 16;
  } else {
    return (first + lane % 16) * L::kPitch + lane / 16 * 16;
  }
}
template <bool kDepth>
__device__ inline int b_lane(int first, int lane) {
  using L = Layout<kDepth>;
  if constexpr (kDepth) {
    return (lane / 8 % 2 * 8 + lane % 8) * L::kPitch + first * 2 + lane / 16 * 16;
  } else {
    return (first + lane / 16 * 8 + lane % 8) * L::kPitch + lane / 8 % 2 * 16;
  }
}

// A warp's 32 x 32 of C. Lane l has, of block (i, j) of 16 rows x 8 columns, rows l / 4 and l / 4 + 8 of
// columns 2 (l % 4) and the next: elements 0, 1 and 2, 3.
struct Sums {
  float sum[2][4][4] = {}, part[2][4][4] = {};

  __device__ inline void promote() {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          sum[i][j][e] += part[i][j][e];
          part[i][j][e] = 0.0f;
        }
      }
    }
  }

  // `a` and `b`: addresses of this lane's lines.
  template <bool kDepthA, bool kDepthB>
  __device__ inline void add_chunk(uint32_t a, uint32_t b) {
    using A = Layout<kDepthA>;
    using B = Layout<kDepthB>;
#pragma unroll
    for (int step = 0; step < kChunk / 16; ++step) {
      uint32_t a_matrices[2][2][4], b_matrices[2][2][4];
#pragma unroll
      for (int plane = 0; plane < 2; ++plane) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          load_matrices<kDepthA>(a_matrices[plane][i],
                                 a + plane * A::kPlane + i * A::kSixteenRows + step * A::kStep);
          load_matrices<kDepthB>(b_matrices[plane][i],
                                 b + plane * B::kPlane + i * B::kSixteenRows + step * B::kStep);
        }
      }
      const auto add = [&](int a_plane, int b_plane) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            multiply(part[i][j], a_matrices[a_plane][i], b_matrices[b_plane][j / 2][j % 2 * 2],
                     b_matrices[b_plane][j / 2][j % 2 * 2 + 1]);
          }
        }
      };
      add(1, 0);
      add(0, 1);
      add(0, 0);
    }
  }
};

// The tile's C from chunk `first` to before `last`: fetch_a(chunk, v) and fetch_b give what the thread
// stores. While a chunk is multiplied, the next is on its way.
template <bool kDepthA, bool kDepthB, class FetchA, class FetchB>
__device__ inline void accumulate(Sums& sums, int64_t first, int64_t last, const FetchA& fetch_a,
                                  const FetchB& fetch_b) {
  constexpr int kStage = Layout<kDepthA>::kBytes + Layout<kDepthB>::kBytes;
  __shared__ __align__(16) char shared[2 * kStage];
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  const uint32_t a = shared_address(shared) + a_lane<kDepthA>(warp % 2 * kPart, lane);
  const uint32_t b = shared_address(shared) + Layout<kDepthA>::kBytes +
                     b_lane<kDepthB>(warp / 2 * kPart, lane);
  float a_next[16], b_next[16];
  const auto put = [&](int stage) {
    char* const to = shared + stage * kStage;
    store<kDepthA>(to, thread, a_next);
    store<kDepthB>(to + Layout<kDepthA>::kBytes, thread, b_next);
  };
  if (first < last) {
    fetch_a(first, a_next);
    fetch_b(first, b_next);
    put(0);
  }
  __syncthreads();
  for (int64_t chunk = first; chunk < last; ++chunk) {
    const int done = static_cast<int>(chunk - first), stage = done % 2;
    const bool more = chunk + 1 < last;
    if (more) {
      fetch_a(chunk + 1, a_next);
      fetch_b(chunk + 1, b_next);
    }
    sums.add_chunk<kDepthA, kDepthB>(a + stage * kStage, b + stage * kStage);
    if (done % kPromote == kPromote - 1) sums.promote();
    if (more) put(1 - stage);
    __syncthreads();
  }
  sums.promote();
}

// body(row, column, sum) for each number of C that this thread has.
template <class Body>
__device__ inline void for_each_sum(const Sums& sums, const Body& body) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int row = warp % 2 * kPart + i * 8 + lane / 4;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int column = warp / 2 * kPart + j * 8 + lane % 4 * 2;
      body(row, column, sums.sum[i / 2][j][i % 2 * 2]);
      body(row, column + 1, sums.sum[i / 2][j][i % 2 * 2 + 1]);
    }
  }
}

}  // namespace facegen::cuda::mma_tile
