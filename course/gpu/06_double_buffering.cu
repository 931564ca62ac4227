// Rung 6: double buffering: while a tile is multiplied, the next one is on its way (cp.async).
//
//   nvcc -O3 -std=c++17 -arch=native 06_double_buffering.cu -o rung && ./rung
//
//   copies     | 0 | 1    | 2    | 3    |
//   products       | 0    | 1    | 2    |     buffers take turns: step s lies in s % 2
//
// What changes: rung 5's tiles, twice. cp.async copies 16 bytes from the L2 cache to shared memory
// without a register and without waiting; with 0 bytes to read it writes zeros, which is the padding.
//
// Prediction for one H200: 50 TFLOPS, 1.1 times rung 5. A step's multiply-adds take a multiprocessor
// 2,048 clocks; the 600 or so that its operands take from the L2 cache are now behind them, where
// rung 5 had only the other block's to hide them. What is left are two barriers a step, and the loads
// from shared memory and the copies that share the instructions' slots.
#include "../common/gpu.cuh"

namespace {

using namespace course;

constexpr int kTile = 128, kChannels = 16, kSide = 16, kEach = kTile / kSide;
constexpr int kThreads = kSide * kSide, kBlocks = 2;
constexpr int kCopies = kTile * kChannels / 4 / kThreads;  // of 16 bytes of a or b, by each thread

// --- instructions ------------------------------------------------------------------------------

__device__ __forceinline__ void copy16(void* to, const float* from, bool present) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<unsigned>(__cvta_generic_to_shared(to))),
               "l"(from), "r"(present ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Until at most kPending of the committed groups are unfinished.
template <int kPending>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

// --- kernel --------------------------------------------------------------------------------------

struct Shared {
  float4 a[kTile][kChannels / 4];  // (row, 4 channels)
  float4 b[kChannels][kTile / 4];  // (channel, 4 columns)
};

// Starts the copies of step s: a tap and 16 channels.
__device__ __forceinline__ void fetch(const Plan& p, const GpuPhase& phase, int s, const float* in,
                                      const float* weights, Shared& to) {
  const int thread = threadIdx.x, steps_of_tap = p.c / kChannels;
  const Tap tap = p.taps[phase.first_tap + s / steps_of_tap];
  const int first = s % steps_of_tap * kChannels;
#pragma unroll
  for (int i = 0; i < kCopies; ++i) {
    const int row = thread / 4 + i * (kThreads / 4);
    const int pixel = input_of(p, blockIdx.y * kTile + row, tap);
    copy16(&to.a[row][thread % 4], in + max(pixel, 0) + first + thread % 4 * 4, pixel >= 0);
  }
#pragma unroll
  for (int i = 0; i < kCopies; ++i) {
    const int channel = thread / 32 + i * (kThreads / 32), four = thread % 32;
    copy16(&to.b[channel][four],
           weights + (tap.weight * p.c + first + channel) * p.k + blockIdx.x * kTile + 4 * four,
           true);
  }
}

__global__ void __launch_bounds__(kThreads, kBlocks)
    double_buffering(const __grid_constant__ Plan p, const float* in, const float* weights,
                     float* out) {
  __shared__ Shared buffers[2];
  const GpuPhase& phase = p.phase[blockIdx.z];
  const int ty = threadIdx.x / kSide, tx = threadIdx.x % kSide;
  const int steps = phase.tap_count() * (p.c / kChannels);
  float sums[kEach][kEach] = {};
  fetch(p, phase, 0, in, weights, buffers[0]);
  commit_copies();
  for (int s = 0; s < steps; ++s) {
    if (s + 1 < steps) fetch(p, phase, s + 1, in, weights, buffers[(s + 1) % 2]);
    commit_copies();
    wait_for_copies<1>();  // those of step s are done, of this thread
    __syncthreads();       // of all threads
    const Shared& shared = buffers[s % 2];
#pragma unroll
    for (int c4 = 0; c4 < kChannels / 4; ++c4) {
      float4 x[kEach];
#pragma unroll
      for (int i = 0; i < kEach; ++i) x[i] = shared.a[ty + i * kSide][c4];
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float4 left = shared.b[4 * c4 + e][tx], right = shared.b[4 * c4 + e][tx + kSide];
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
    __syncthreads();  // all have read this buffer: the next step's fetch writes it
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    float* pixel =
        out + output_of(p, phase, blockIdx.y * kTile + ty + i * kSide) + blockIdx.x * kTile;
    const float* s = sums[i];
    reinterpret_cast<float4*>(pixel)[tx] = {s[0], s[1], s[2], s[3]};
    reinterpret_cast<float4*>(pixel)[tx + kSide] = {s[4], s[5], s[6], s[7]};
  }
}

Launch prepare(const Plan& p, const Buffers& b) {
  const dim3 grid(p.k / kTile, p.rows() / kTile, p.phases);
  return [=] { double_buffering<<<grid, kThreads>>>(p, b.in, b.weights, b.out); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"06_double_buffering", Format::kFloat32, prepare});
}
