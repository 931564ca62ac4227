// Rung 5: vector loads: 16 bytes at a time, from caches and shared memory and to the output.
//
//   nvcc -O3 -std=c++17 -arch=native 05_vector_loads.cu -o rung && ./rung
//
// What changes: rung 4's tiles, but a thread's 8 columns are two runs of 4 (4 tx and 64 + 4 tx), so
// that y is two float4; x is read for 4 channels at once. For 4 channels a thread asks shared memory
// 8 + 8 times instead of 64.
//
// Prediction for one H200: 45 TFLOPS, 1.4 times rung 4. A float4 of 2 different rows is one clock of
// shared memory for a warp, one of 16 different columns (256 bytes) two: 8 + 16 clocks for 4
// channels, whose multiply-adds take 64. The multiply-adds are now the bottleneck; what is missing
// to 67 are the steps' loads, for which both blocks of a multiprocessor often wait at once.
#include "../common/gpu.cuh"

namespace {

using namespace course;

constexpr int kTile = 128, kChannels = 16, kSide = 16, kEach = kTile / kSide;
constexpr int kThreads = kSide * kSide, kBlocks = 2;
constexpr int kCopies = kTile * kChannels / 4 / kThreads;  // float4 of a or b that a thread brings

__global__ void __launch_bounds__(kThreads, kBlocks)
    vector_loads(const __grid_constant__ Plan p, const float* in, const float* weights,
                 float* out) {
  __shared__ float4 a[kTile][kChannels / 4];  // (row, 4 channels)
  __shared__ float4 b[kChannels][kTile / 4];  // (channel, 4 columns)
  const GpuPhase& phase = p.phase[blockIdx.z];
  const int thread = threadIdx.x, ty = thread / kSide, tx = thread % kSide;
  const int first_row = blockIdx.y * kTile, first_column = blockIdx.x * kTile;
  float sums[kEach][kEach] = {};
  for (int t = 0; t < phase.tap_count(); ++t) {
    const Tap tap = p.taps[phase.first_tap + t];
    int pixels[kCopies];
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      pixels[i] = input_of(p, first_row + thread / 4 + i * (kThreads / 4), tap);
    }
    for (int first = 0; first < p.c; first += kChannels) {
#pragma unroll
      for (int i = 0; i < kCopies; ++i) {
        const float* from = in + pixels[i] + first + thread % 4 * 4;
        a[thread / 4 + i * (kThreads / 4)][thread % 4] =
            pixels[i] < 0 ? float4{} : *reinterpret_cast<const float4*>(from);
      }
#pragma unroll
      for (int i = 0; i < kCopies; ++i) {
        const int channel = thread / 32 + i * (kThreads / 32), four = thread % 32;
        const float* from =
            weights + (tap.weight * p.c + first + channel) * p.k + first_column + 4 * four;
        b[channel][four] = *reinterpret_cast<const float4*>(from);
      }
      __syncthreads();
#pragma unroll
      for (int c4 = 0; c4 < kChannels / 4; ++c4) {
        float4 x[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) x[i] = a[ty + i * kSide][c4];
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          const float4 left = b[4 * c4 + e][tx], right = b[4 * c4 + e][tx + kSide];
          const float y[kEach] = {left.x,  left.y,  left.z,  left.w,
                                  right.x, right.y, right.z, right.w};
#pragma unroll
          for (int i = 0; i < kEach; ++i) {
            const float xe = e == 0 ? x[i].x : e == 1 ? x[i].y : e == 2 ? x[i].z : x[i].w;
#pragma unroll
            for (int j = 0; j < kEach; ++j) sums[i][j] += xe * y[j];
          }
        }
      }
      __syncthreads();
    }
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    float* pixel = out + output_of(p, phase, first_row + ty + i * kSide) + first_column;
    const float* s = sums[i];
    reinterpret_cast<float4*>(pixel)[tx] = {s[0], s[1], s[2], s[3]};
    reinterpret_cast<float4*>(pixel)[tx + kSide] = {s[4], s[5], s[6], s[7]};
  }
}

Launch prepare(const Plan& p, const Buffers& b) {
  const dim3 grid(p.k / kTile, p.rows() / kTile, p.phases);
  return [=] { vector_loads<<<grid, kThreads>>>(p, b.in, b.weights, b.out); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"05_vector_loads", Format::kFloat32, prepare});
}
