// Rung 3: shared memory: a block of threads brings a tile once, and all read it from there.
//
//   nvcc -O3 -std=c++17 -arch=native 03_shared_memory.cu -o rung && ./rung
//
//            32 channels                  32 columns
//           +-----------+                +-----------+
//   32 rows |     a     |    32 channels |     b     |    1,024 threads, one output each
//           +-----------+                +-----------+
//
// What changes: of 64 loads from the caches for 32 multiply-adds, 2 remain; the others are now of
// shared memory, which answers in a third of the L2 cache's time and never misses.
//
// Prediction for one H200: 8 TFLOPS, 1.3 times rung 2, not more: a load from shared memory takes
// the same pipe as one from the L1 cache, a warp a clock. Of four channels a thread reads its a at
// once (16 bytes, a broadcast), so 5 loads are for 4 multiply-adds, at best 13 TFLOPS; the two
// barriers a step cost the rest.
#include "../common/gpu.cuh"

namespace {

using namespace course;

constexpr int kTile = 32;

__global__ void __launch_bounds__(kTile * kTile)
    shared_memory(const __grid_constant__ Plan p, const float* in, const float* weights,
                  float* out) {
  __shared__ __align__(16) float a[kTile][kTile];  // (row, channel)
  __shared__ float b[kTile][kTile];                // (channel, column)
  const GpuPhase& phase = p.phase[blockIdx.z];
  const int ty = threadIdx.y, tx = threadIdx.x;
  const int row = blockIdx.y * kTile + ty, column = blockIdx.x * kTile + tx;
  float sum = 0;
  for (int t = 0; t < phase.tap_count(); ++t) {
    const Tap tap = p.taps[phase.first_tap + t];
    const int pixel = input_of(p, row, tap);
    for (int first = 0; first < p.c; first += kTile) {
      a[ty][tx] = pixel < 0 ? 0.0f : in[pixel + first + tx];
      b[ty][tx] = weights[(tap.weight * p.c + first + ty) * p.k + column];
      __syncthreads();  // the tiles are there
#pragma unroll
      for (int i = 0; i < kTile; ++i) sum += a[ty][i] * b[i][tx];
      __syncthreads();  // all have read them
    }
  }
  out[output_of(p, phase, row) + column] = sum;
}

Launch prepare(const Plan& p, const Buffers& b) {
  const dim3 grid(p.k / kTile, p.rows() / kTile, p.phases), block(kTile, kTile);
  return [=] { shared_memory<<<grid, block>>>(p, b.in, b.weights, b.out); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"03_shared_memory", Format::kFloat32, prepare});
}
