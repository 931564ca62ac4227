// The end of a tile of the Hopper kernel: from float32 sums in registers to the output's format.
//
// A thread holds 2 rows (pixels) of 64, and of each 32 columns the 8 neighbouring channels that
// start at 8 * (lane % 4): 16 bytes of each plane, 64 bytes of a row by 4 lanes.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cfloat>

#include "cuda/hopper_gemm.h"
#include "cuda/hopper_ptx.cuh"

namespace facegen::cuda::hopper {

// The epilogue is unrolled over all sums, and long code runs at the speed of the instruction cache
// (a tanhf for each sum made every tile 4 us slower): few instructions matter more than few
// operations. Within 2e-7 of tanh.
__device__ __forceinline__ float short_tanh(float v) {
  return 1.0f - __fdividef(2.0f, __expf(2.0f * v) + 1.0f);
}

__device__ __forceinline__ void activate(const Arguments& args, float (&v)[8]) {
  if (args.activation == Activation::kNone) return;
  if (args.activation == Activation::kTanh) {
#pragma unroll
    for (float& e : v) e = short_tanh(e);
  } else {
    const float slope = args.activation == Activation::kRelu ? 0.0f : args.slope;
#pragma unroll
    for (float& e : v) e = e > 0.0f ? e : fmaxf(e, -FLT_MAX) * slope;
  }
}

template <class Pair>
__device__ __forceinline__ uint32_t bits(Pair pair) {
  return *reinterpret_cast<uint32_t*>(&pair);
}

// Writes 8 neighbouring channels of one pixel: float32, or the format of the operands.
template <bool kHalf>
__device__ __forceinline__ void store(const Arguments& args, int64_t offset, const float (&v)[8]) {
  if (args.out_format == Format::kFloat32) {
    float4* to = reinterpret_cast<float4*>(static_cast<float*>(args.out) + offset);
    to[0] = make_float4(v[0], v[1], v[2], v[3]);
    to[1] = make_float4(v[4], v[5], v[6], v[7]);
    return;
  }
  uint16_t* to = static_cast<uint16_t*>(args.out) + offset;
  uint32_t hi[4], lo[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if constexpr (kHalf) {
      hi[i] = bits(__floats2half2_rn(v[2 * i], v[2 * i + 1]));
    } else {
      hi[i] = bits(__floats2bfloat162_rn(v[2 * i], v[2 * i + 1]));
      lo[i] = bits(__floats2bfloat162_rn(v[2 * i] - __uint_as_float(hi[i] << 16),
                                         v[2 * i + 1] - __uint_as_float(hi[i] & 0xFFFF0000)));
    }
  }
  ptx::store16(to, hi);
  if constexpr (!kHalf) ptx::store16(to + args.out_plane, lo);
}

// The constants of 8 neighbouring channels.
__device__ __forceinline__ void load8(const float* from, float (&v)[8]) {
  const float4 a = __ldg(reinterpret_cast<const float4*>(from));
  const float4 b = __ldg(reinterpret_cast<const float4*>(from) + 1);
  v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w, v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}

// Bias, activation, scale and shift, and the store of 64 rows: of this thread, 2 rows, and of each
// 32 columns the 8 that start at 8 * (lane % 4).
template <int kColumns, bool kHalf>
__device__ __forceinline__ void finish(const Arguments& args, const Tile& tile, int row,
                                       const float (&sums)[kColumns / 2]) {
  const Columns* columns = args.groups[tile.group].columns;
  int y[2], x[2];
  int64_t pixel[2];
  bool exists[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int i = row + 8 * r;
    x[r] = tile.x + (i & ((1 << args.box.log2_w) - 1));
    y[r] = tile.y + ((i >> args.box.log2_w) & ((1 << args.box.log2_h) - 1));
    const int n = tile.n + (i >> (args.box.log2_w + args.box.log2_h));
    exists[r] = n < args.images;
    pixel[r] = n * args.out_image_stride + y[r] * args.out_row_stride + x[r] * args.out_col_stride;
  }
  const int lane_column = 8 * (threadIdx.x % 4);
#pragma unroll
  for (int g = 0; g < kColumns / 32; ++g) {
    const Columns& block = columns[g / 2];
    const int channel = g % 2 * 32 + lane_column;
    if (channel >= __ldg(&block.valid)) continue;
    const int constant = __ldg(&block.channel) + channel;
    const int rows = __ldg(&block.rows), cols = __ldg(&block.cols);
    const int64_t offset = __ldg(&block.offset) + channel;
    float bias[8] = {}, scale[8], shift[8];
    if (args.bias) load8(args.bias + constant, bias);
    if (args.scale) {
      load8(args.scale + constant, scale);
      load8(args.shift + constant, shift);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if (!exists[r] || y[r] >= rows || x[r] >= cols) continue;
      float v[8];
#pragma unroll
      for (int e = 0; e < 8; ++e) v[e] = sums[16 * g + 4 * (e / 2) + 2 * r + e % 2] + bias[e];
      activate(args, v);
      if (args.scale) {
#pragma unroll
        for (int e = 0; e < 8; ++e) v[e] = v[e] * scale[e] + shift[e];
      }
      store<kHalf>(args, pixel[r] + offset, v);
    }
  }
}

}  // namespace facegen::cuda::hopper
