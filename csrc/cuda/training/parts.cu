#include "cuda/training/parts.h"

#include "cuda/training/launch.cuh"

namespace facegen::cuda {
namespace {

__global__ void __launch_bounds__(kBlockThreads) add_parts_kernel(const __grid_constant__ PartSums s) {
  for_each_number(s.floats / 4, [&](int64_t i) {
    const auto* from = reinterpret_cast<const float4*>(s.parts) + i;
    float v[4] = {};
    for (int part = 0; part < s.splits; ++part, from += s.floats / 4) {
      const float4 f = *from;
      v[0] += f.x, v[1] += f.y, v[2] += f.z, v[3] += f.w;
    }
    auto& to = reinterpret_cast<float4*>(s.out)[i];
    const float4 before = s.accumulate ? to : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const float held[4] = {before.x, before.y, before.z, before.w};
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (s.bias != nullptr) v[e] += s.bias[(4 * i + e) % s.channels];
      if (s.accumulate) v[e] += held[e];
      v[e] = activate(v[e], s.activation, s.alpha);
    }
    to = make_float4(v[0], v[1], v[2], v[3]);
  });
}

__global__ void __launch_bounds__(kBlockThreads) add_single_parts_kernel(const __grid_constant__ PartSums s) {
  for_each_number(s.floats / s.pitch * s.channels, [&](int64_t i) {
    const int64_t pixel = i / s.channels;
    const int channel = static_cast<int>(i - pixel * s.channels);
    const float* from = s.parts + pixel * s.pitch + channel;
    float v = 0.0f;
    for (int part = 0; part < s.splits; ++part) v += from[part * s.floats];
    if (s.bias != nullptr) v += s.bias[channel];
    if (s.accumulate) v += s.out[i];
    s.out[i] = activate(v, s.activation, s.alpha);
  });
}

constexpr int kSide = 32;
constexpr int kMostTogether = 8;
constexpr int64_t kEnoughBlocks = 256;  // fewer leave multiprocessors idle

// A block adds up the parts of 32 outputs of some lines, and turns them. Where these are few blocks, `together`
// threads add parts of the same, every together-th each, and their sums are added in order.
__global__ void __launch_bounds__(kBlockThreads)
    add_gradient_parts_kernel(const __grid_constant__ PartGradients s, int together) {
  __shared__ float sums[kSide][kSide + 1];  // (of which parts, line; output)
  const int lines = kSide / together, column_tiles = (s.outputs + kSide - 1) / kSide;
  const int line0 = static_cast<int>(blockIdx.x) / column_tiles * lines;
  const int output0 = static_cast<int>(blockIdx.x) % column_tiles * kSide;
  static_assert(kBlockThreads == kSide * kSide / 4, "a thread has four outputs of a line");
  const int row = static_cast<int>(threadIdx.x) / (kSide / 4), x = static_cast<int>(threadIdx.x) % (kSide / 4) * 4;
  const int of_row = line0 + row % lines;
  float4 sum = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  if (of_row < s.lines && output0 + x < s.outputs) {  // outputs behind the last have room, and are not written
    const float* const from = s.parts + int64_t{of_row} * s.pitch + output0 + x;
    const int64_t part_floats = int64_t{s.lines} * s.pitch;
#pragma unroll 8
    for (int part = row / lines; part < s.splits; part += together) {
      const float4 v = *reinterpret_cast<const float4*>(from + part * part_floats);
      sum.x += v.x, sum.y += v.y, sum.z += v.z, sum.w += v.w;
    }
  }
  sums[row][x] = sum.x, sums[row][x + 1] = sum.y, sums[row][x + 2] = sum.z, sums[row][x + 3] = sum.w;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < lines * kSide; i += kBlockThreads) {
    const int line = i % lines, output = i / lines;
    if (line0 + line >= s.lines || output0 + output >= s.outputs) continue;
    float all = sums[line][output];
    for (int of = 1; of < together; ++of) all += sums[of * lines + line][output];
    s.gradient[int64_t{output0 + output} * s.lines + line0 + line] = all;
  }
}

}  // namespace

void add_parts(const PartSums& s, cudaStream_t stream) {
  if (s.pitch == s.channels && s.floats % 4 == 0 && is_vector_aligned(s.parts) && is_vector_aligned(s.out)) {
    add_parts_kernel<<<grid_of(s.floats / 4), kBlockThreads, 0, stream>>>(s);
  } else {
    add_single_parts_kernel<<<grid_of(s.floats / s.pitch * s.channels), kBlockThreads, 0, stream>>>(s);
  }
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of a product's parts");
}

void add_gradient_parts(const PartGradients& s, cudaStream_t stream) {
  const auto blocks_of = [&](int together) {
    return divide_up(int64_t{s.lines}, int64_t{kSide / together}) * divide_up(int64_t{s.outputs}, int64_t{kSide});
  };
  int together = 1;
  while (together < kMostTogether && 2 * together <= s.splits && blocks_of(together) < kEnoughBlocks) together *= 2;
  const int64_t blocks = blocks_of(together);
  add_gradient_parts_kernel<<<grid(blocks), kBlockThreads, 0, stream>>>(s, together);
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of a weight gradient's parts");
}

}  // namespace facegen::cuda
