// A tile of a product of float32 matrices on tensor cores: C (64 x 64) += A (64 x k) B (k x 64), in
// chunks of 32 of k, by 4 warps, each 32 x 32 of C.
//
// Every operand is split into two bfloat16, x = hi + lo, and a product is  hi hi + hi lo + lo hi  (lo lo,
// below 2^-16 of it, is left out). Tensor cores add with truncation: every kPromote chunks (512 of k)
// their accumulators are added to float32 sums.
//
// A chunk comes by asynchronous copies, kStages chunks ahead, to slots that only the thread that copied them
// reads. It splits them into two planes (hi, lo), in one of two layouts, as the operand's numbers come from
// memory; ldmatrix transposes the second:
//
//   rows:   64 lines, a row or column, of 32 of k     64 bytes a line at a pitch of 80
//   depth:  32 lines, one of k, of 64 rows or columns 128 bytes a line at a pitch of 144
//
// Eight neighbouring lines start in different groups of 4 banks in both. Of either a thread has four quads
// (of numbers) of one line; 2 or 4 threads of a line have its quads in turn.
//
// A small product is one pass through this code, whose instructions come from memory at some ten cycles each:
// loops are rolled.
#pragma once

#include <cstdint>

#include "cuda/fit/training_plan.h"
#include "cuda/generic/element.cuh"

namespace facegen::cuda::mma_tile {

constexpr int kTile = kTrainingTile, kChunk = kTrainingChunk, kThreads = 128;
constexpr int kPart = 32;  // rows and columns of a warp
constexpr int kPromote = 512 / kChunk;
constexpr int kStages = 2;
constexpr int kQuads = 4;
static_assert(kThreads / 32 * kPart * kPart == kTile * kTile);
static_assert(kThreads * kQuads * 4 == kTile * kChunk);

template <bool kDepth>
struct Layout {
  static constexpr int kPitch = kDepth ? 144 : 80;
  static constexpr int kLines = kDepth ? kChunk : kTile;
  static constexpr int kPlane = kLines * kPitch;
  static constexpr int kBytes = 2 * kPlane;
  static constexpr unsigned kThreadsOfLine = kThreads / kLines;
  static constexpr int kStep = kDepth ? 16 * kPitch : 32;  // bytes from 16 of k to the next
  static constexpr int kSixteenRows = kDepth ? 32 : 16 * kPitch;  // bytes from 16 rows to the next
};

// Shared memory: slots (stage, operand, quad, thread), in which the sums lie in the end, and planes.
constexpr int kSlotStep = 16 * kThreads;  // from a thread's slot to its next
constexpr int kOperandBytes = kQuads * kSlotStep, kStageBytes = 2 * kOperandBytes;
constexpr int kSumPitch = kTile + 8;  // floats
constexpr int kSharedBytes = kStages * kStageBytes + 2 * Layout<false>::kBytes;
static_assert(Layout<true>::kBytes <= Layout<false>::kBytes && kTile * kSumPitch * 4 <= kStages * kStageBytes);

// The line that a thread has quads of.
template <bool kDepth>
__device__ inline int line_of(unsigned thread) {
  return static_cast<int>(thread / Layout<kDepth>::kThreadsOfLine);
}
template <bool kDepth>
__device__ inline int first_of(unsigned thread) {
  return static_cast<int>(thread % Layout<kDepth>::kThreadsOfLine * 4);
}

// Zeros where nothing exists.
template <int kBytes>
__device__ inline void copy(uint32_t to, const float* from, bool exists) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(kBytes),
               "r"(exists ? kBytes : 0)
               : "memory");
}

// Begins to copy a thread's quads of a line of so many numbers to its slots. What is behind them is left as it
// was: it may not be of k. source(number): where a number lies; of quads, the first of one. It is asked for
// numbers of a tile that the line does not have, too.
struct Source {
  const float* from;
  bool exists;
};
template <bool kDepth, class Find>
__device__ inline void copy_line(uint32_t to, int numbers, bool quads, const Find& source) {
  constexpr int kNext = 4 * int{Layout<kDepth>::kThreadsOfLine};
  int number = first_of<kDepth>(threadIdx.x);
  Source s[4];  // found before the first copy: behind it the table of taps would be waited for each time
  if (quads) {
#pragma unroll
    for (int i = 0; i < kQuads; ++i) s[i] = source(number + i * kNext);
#pragma unroll
    for (int i = 0; i < kQuads; ++i) {
      if (number + i * kNext < numbers) copy<16>(to + i * kSlotStep, s[i].from, s[i].exists);
    }
    return;
  }
#pragma unroll 1
  for (; number < numbers; number += kNext, to += kSlotStep) {
#pragma unroll
    for (int e = 0; e < 4; ++e) s[e] = source(number + e);
#pragma unroll
    for (int e = 0; e < 4; ++e) copy<4>(to + 4 * e, s[e].from, s[e].exists);
  }
}

// Splits a quad; `to`: its place in the plane of hi.
template <bool kDepth>
__device__ inline void split_quad(const float4& v, char* to) {
  uint2 hi, lo;
  split_pair<false>(v.x, v.y, hi.x, lo.x);
  split_pair<false>(v.z, v.w, hi.y, lo.y);
  *reinterpret_cast<uint2*>(to) = hi;
  *reinterpret_cast<uint2*>(to + Layout<kDepth>::kPlane) = lo;
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
#pragma unroll 1
    for (int step = 0; step < kChunk / 16; ++step, a += A::kStep, b += B::kStep) {
      uint32_t a_matrices[2][2][4], b_matrices[2][2][4];
#pragma unroll
      for (int plane = 0; plane < 2; ++plane) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          load_matrices<kDepthA>(a_matrices[plane][i],
                                 a + plane * A::kPlane + i * A::kSixteenRows);
          load_matrices<kDepthB>(b_matrices[plane][i],
                                 b + plane * B::kPlane + i * B::kSixteenRows);
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

// The tile's C from chunk `first` to before `last`. copy(chunk, to) begins to copy a thread's quads: A's to `to`
// and the slots behind, B's to kOperandBytes behind these. `quads`: so many of them, an even number, are in use;
// `used`: whether this warp's part of C is.
template <bool kDepthA, bool kDepthB, class Copy>
__device__ inline void accumulate(Sums& sums, char* shared, int first, int last, int quads, bool used,
                                  const Copy& copy) {
  using A = Layout<kDepthA>;
  using B = Layout<kDepthB>;
  const unsigned thread = threadIdx.x;
  const int lane = static_cast<int>(thread % 32), warp = static_cast<int>(thread / 32);
  char* const slots = shared + 16 * thread;
  uint32_t to = shared_address(slots);
  asm volatile("" : "+r"(to));  // else every copy finds out where shared memory begins
  char* const planes = shared + kStages * kStageBytes;
  char* const a_line = planes + line_of<kDepthA>(thread) * A::kPitch + first_of<kDepthA>(thread) * 2;
  char* const b_line =
      planes + A::kBytes + line_of<kDepthB>(thread) * B::kPitch + first_of<kDepthB>(thread) * 2;
  const uint32_t a = shared_address(planes) + a_lane<kDepthA>(warp % 2 * kPart, lane);
  const uint32_t b = shared_address(planes) + A::kBytes + b_lane<kDepthB>(warp / 2 * kPart, lane);
#pragma unroll 1
  for (int chunk = first - kStages; chunk < last; ++chunk) {
    const unsigned stage = static_cast<unsigned>(chunk + kStages) % kStages * kStageBytes;
    if (chunk >= first) {
      asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 1) : "memory");
#pragma unroll 1
      for (int i = 0; i < quads; i += 2) {
        const char* const from = slots + stage + i * kSlotStep;
        float4 v[2][2];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          v[j / 2][j % 2] =
              *reinterpret_cast<const float4*>(from + j / 2 * kOperandBytes + j % 2 * kSlotStep);
        }
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          split_quad<kDepthA>(v[0][j], a_line + (i + j) * 8 * int{A::kThreadsOfLine});
          split_quad<kDepthB>(v[1][j], b_line + (i + j) * 8 * int{B::kThreadsOfLine});
        }
      }
    }
    if (chunk + kStages < last) copy(chunk + kStages, to + stage);
    asm volatile("cp.async.commit_group;" ::: "memory");
    if (chunk < first) continue;
    __syncthreads();
    if (used) sums.add_chunk<kDepthA, kDepthB>(a, b);
    if ((chunk - first) % kPromote == kPromote - 1 || chunk + 1 == last) sums.promote();
    __syncthreads();
  }
}

// C as (row, column) at a pitch of kSumPitch, for all threads.
__device__ inline const float* share_sums(const Sums& sums, char* shared) {
  auto* const tile = reinterpret_cast<float*>(shared);
  const int lane = static_cast<int>(threadIdx.x % 32), warp = static_cast<int>(threadIdx.x / 32);
  float* const to = tile + (warp % 2 * kPart + lane / 4) * kSumPitch + warp / 2 * kPart + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const float* const pair = sums.sum[i / 2][j] + i % 2 * 2;
      *reinterpret_cast<float2*>(to + i * 8 * kSumPitch + j * 8) = make_float2(pair[0], pair[1]);
    }
  }
  __syncthreads();
  return tile;
}

}  // namespace facegen::cuda::mma_tile
