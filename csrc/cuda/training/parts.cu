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
  for_each_number(s.floats, [&](int64_t i) {
    float v = 0.0f;
    for (int part = 0; part < s.splits; ++part) v += s.parts[part * s.floats + i];
    if (s.bias != nullptr) v += s.bias[i % s.channels];
    if (s.accumulate) v += s.out[i];
    s.out[i] = activate(v, s.activation, s.alpha);
  });
}

constexpr int kSide = 32;

// A block adds up 32 x 32 numbers, 4 a thread, and turns them.
__global__ void __launch_bounds__(kBlockThreads) add_gradient_parts_kernel(const __grid_constant__ PartGradients s) {
  __shared__ float turned[kSide][kSide + 1];
  const int column_tiles = (s.outputs + kSide - 1) / kSide;
  const int line0 = static_cast<int>(blockIdx.x) / column_tiles * kSide;
  const int output0 = static_cast<int>(blockIdx.x) % column_tiles * kSide;
  const int x = static_cast<int>(threadIdx.x) % kSide, y = static_cast<int>(threadIdx.x) / kSide;
  constexpr int kLines = kBlockThreads / kSide;
#pragma unroll
  for (int j = 0; j < kSide; j += kLines) {
    const int line = line0 + y + j, output = output0 + x;
    float sum = 0.0f;
    if (line < s.lines && output < s.outputs) {
      const float* from = s.parts + int64_t{line} * s.pitch + output;
      for (int part = 0; part < s.splits; ++part) sum += from[int64_t{part} * s.lines * s.pitch];
    }
    turned[y + j][x] = sum;
  }
  __syncthreads();
#pragma unroll
  for (int j = 0; j < kSide; j += kLines) {
    const int line = line0 + x, output = output0 + y + j;
    if (line < s.lines && output < s.outputs) s.gradient[int64_t{output} * s.lines + line] = turned[x][y + j];
  }
}

}  // namespace

void add_parts(const PartSums& s, cudaStream_t stream) {
  if (s.floats % 4 == 0 && is_vector_aligned(s.parts) && is_vector_aligned(s.out)) {
    add_parts_kernel<<<grid_of(s.floats / 4), kBlockThreads, 0, stream>>>(s);
  } else {
    add_single_parts_kernel<<<grid_of(s.floats), kBlockThreads, 0, stream>>>(s);
  }
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of a product's parts");
}

void add_gradient_parts(const PartGradients& s, cudaStream_t stream) {
  const int64_t blocks = divide_up(int64_t{s.lines}, kSide) * divide_up(int64_t{s.outputs}, kSide);
  add_gradient_parts_kernel<<<grid(blocks), kBlockThreads, 0, stream>>>(s);
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of a weight gradient's parts");
}

}  // namespace facegen::cuda
