// The end of a tile of the Hopper kernel: from float32 sums in registers to the output's format.
//
// A thread holds 2 rows (pixels) of 64, and of each 32 columns the 8 neighbouring channels that
// start at 8 * (lane % 4): 16 bytes of each plane, 64 bytes of a row by 4 lanes.
#pragma once

#include "cuda/hopper/gemm/gemm.h"
#include "cuda/hopper/parts/output.cuh"
#include "cuda/hopper/parts/ptx.cuh"

namespace facegen::cuda::hopper {

// A thread's 2 rows of a tile: which output pixels they are.
struct Rows {
  int n[2], y[2], x[2];
  int64_t pixel[2];  // elements from the output's first pixel
  bool exists[2];

  __device__ __forceinline__ Rows(const Arguments& args, const Tile& tile, int row) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int i = row + 8 * r;
      x[r] = tile.x + (i & ((1 << args.box.log2_w) - 1));
      y[r] = tile.y + ((i >> args.box.log2_w) & ((1 << args.box.log2_h) - 1));
      n[r] = tile.n + (i >> (args.box.log2_w + args.box.log2_h));
      exists[r] = n[r] < args.images;
      pixel[r] =
          n[r] * args.out_image_stride + y[r] * args.out_row_stride + x[r] * args.out_col_stride;
    }
  }
  // The element where row r's pixel starts in a map that is added: that of a layer of one phase.
  __device__ __forceinline__ int64_t added(const Operand& add, int r) const {
    return n[r] * add.image_stride + (int64_t{y[r]} * add.w + x[r]) * add.pixel_stride;
  }
  // Whether row r is inside a phase of this size.
  __device__ __forceinline__ bool inside(int r, int rows, int cols) const {
    return exists[r] & (y[r] < rows) & (x[r] < cols);
  }
};

// Between two stretches of a sum, the sum so far lies, as float32, where the output will be: both
// of its formats have 4 bytes an element. This thread alone writes and reads its elements.
template <int kColumns, bool kRead>
__device__ __forceinline__ void move_parked(const Arguments& args, const Tile& tile,
                                            const Rows& rows, float (&sums)[kColumns / 2]) {
  const Columns* columns = args.groups[tile.group].columns;
  const bool split = args.out_format == Format::kSplit;
  const int log2_bytes = split ? 1 : 2;
  const int64_t second = split ? args.out_plane << 1 : 16;  // bytes
  char* const pixels[2] = {static_cast<char*>(args.out) + (rows.pixel[0] << log2_bytes),
                           static_cast<char*>(args.out) + (rows.pixel[1] << log2_bytes)};
#pragma unroll
  for (int b = 0; b < kColumns / kBlockChannels; ++b) {
    const Columns& block = columns[b];
    const int valid = __ldg(&block.valid);
    const int block_rows = __ldg(&block.rows), block_cols = __ldg(&block.cols);
    const int64_t offset = __ldg(&block.offset) << log2_bytes;
    char* at[4];  // pieces of 8 channels: 2 rows of each 32 columns
    bool present[4];
#pragma unroll
    for (int p = 0; p < 4; ++p) {
      const int channel = p / 2 * 32 + 8 * (threadIdx.x % 4);
      at[p] = pixels[p % 2] + offset + (channel << log2_bytes);
      present[p] = (channel < valid) & rows.inside(p % 2, block_rows, block_cols);
    }
    if constexpr (kRead) {
      float4 parked[4][2];
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        parked[i / 2][i % 2] = ptx::load16_if(present[i / 2], at[i / 2] + i % 2 * second);
      }
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        float* s = &sums[32 * b + 16 * (i / 4) + 8 * (i % 2) + i / 2 % 2 * 2];
        const float4& v = parked[i / 2][i % 2];
        s[0] += v.x, s[1] += v.y, s[4] += v.z, s[5] += v.w;
      }
    } else {
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const float* s = &sums[32 * b + 16 * (i / 4) + 8 * (i % 2) + i / 2 % 2 * 2];
        if (!present[i / 2]) continue;
        __stcg(reinterpret_cast<float4*>(at[i / 2] + i % 2 * second),
               make_float4(s[0], s[1], s[4], s[5]));
      }
    }
  }
}

// The eight channels from `constant` on that are added to row r, or zeros unless `present`.
__device__ __forceinline__ RawRun load_added(const Operand& add, const Rows& rows, int r,
                                             int constant, bool present) {
  const int element_bytes = add.format == Format::kFloat32 ? 4 : 2;
  const char* from = add.data + element_bytes * (rows.added(add, r) + constant);
  const int64_t second = add.format == Format::kFloat32 ? 16 : 2 * add.plane;
  return {ptx::load16_bits_if(present, from),
          ptx::load16_bits_if(present & (add.format != Format::kHalf), from + second)};
}

// Bias, activation, scale and shift, and the store of 64 rows: of this thread, 2 rows, and of each
// 32 columns the 8 that start at 8 * (lane % 4). What is added comes from afar, so that of some 32
// columns it is asked for before the first of it is needed.
template <int kColumns, bool kHalf, bool kAdd>
__device__ __forceinline__ void finish(const Arguments& args, const Tile& tile, const Rows& rows,
                                       const float (&sums)[kColumns / 2]) {
  constexpr int kAhead = kColumns / 32 < 4 ? kColumns / 32 : 4;
  const Columns* columns = args.groups[tile.group].columns;
  const int lane_column = 8 * (threadIdx.x % 4);
#pragma unroll
  for (int first = 0; first < kColumns / 32; first += kAhead) {
    RawRun added[kAhead][2];
    if constexpr (kAdd) {
#pragma unroll
      for (int i = 0; i < 2 * kAhead; ++i) {
        const int g = first + i / 2, r = i % 2, channel = g % 2 * 32 + lane_column;
        const Columns& block = columns[g / 2];
        const bool present = (channel < __ldg(&block.valid)) &
                             rows.inside(r, __ldg(&block.rows), __ldg(&block.cols));
        added[i / 2][r] =
            load_added(args.add, rows, r, __ldg(&block.channel) + channel, present);
      }
    }
#pragma unroll
    for (int g = first; g < first + kAhead; ++g) {
      const Columns& block = columns[g / 2];
      const int channel = g % 2 * 32 + lane_column;
      if (channel >= __ldg(&block.valid)) continue;
      const int constant = __ldg(&block.channel) + channel;
      const int block_rows = __ldg(&block.rows), block_cols = __ldg(&block.cols);
      const int64_t offset = __ldg(&block.offset) + channel;
      float bias[8], scale[8], shift[8];
      load8(args.bias, constant, bias);
      if (args.scale) {
        load8(args.scale, constant, scale);
        load8(args.shift, constant, shift);
      }
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (!rows.inside(r, block_rows, block_cols)) continue;
        float v[8];
        take8(&sums[16 * g], r, v);
#pragma unroll
        for (int e = 0; e < 8; ++e) v[e] += bias[e];
        if constexpr (kAdd) {
          float other[8];
          decode_run(args.add.format, added[g - first][r], other);
#pragma unroll
          for (int e = 0; e < 8; ++e) v[e] += other[e];
        }
        activate_run(v, args.activation, args.alpha, args.beta);
        if (args.scale) {
#pragma unroll
          for (int e = 0; e < 8; ++e) v[e] = fmaf(v[e], scale[e], shift[e]);
        }
        store8<kHalf>(args.out_format, args.out, args.out_plane, rows.pixel[r] + offset, v);
      }
    }
  }
}

}  // namespace facegen::cuda::hopper
