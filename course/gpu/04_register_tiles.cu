// Rung 4: register tiles: a thread computes 8 x 8 outputs, and multiplies 8 times what it loads.
//
//   nvcc -O3 -std=c++17 -arch=native 04_register_tiles.cu -o rung && ./rung
//
//              8 channels              128 columns
//            +-------+                +-----------------+
//            |       |     8 channels |        b        |
//   128 rows |   a   |                +-----------------+
//            |       |                thread (ty, tx) of 16 x 16 has the outputs of
//            +-------+                rows ty + 16 i and columns tx + 16 j, i and j from 0 to 7
//
// What changes: for one channel a thread loads 8 + 8 words and does 64 multiply-adds, 4 for each
// load instead of 0.8. The 64 sums live in registers. From the caches come 2 * 128 * 8 words for
// 128 * 128 * 8 multiply-adds, a quarter of rung 3's.
//
// Prediction for one H200: 32 TFLOPS, 4 times rung 3. Per channel a warp asks shared memory 16
// times, a clock each, and multiplies for 64 / 4 = 16 clocks: both pipes are as busy, and what
// overlaps is about half of the peak.
#include "../common/gpu.cuh"

namespace {

using namespace course;

constexpr int kTile = 128, kChannels = 8, kSide = 16, kEach = kTile / kSide;
constexpr int kThreads = kSide * kSide;
constexpr int kCopies = kTile * kChannels / kThreads;  // words of a or b that a thread brings
constexpr int kRowsAtOnce = kThreads / kChannels;
// 64 sums, 16 factors and some addresses: 128 registers, so that 2 blocks share a multiprocessor.
constexpr int kBlocks = 2;

__global__ void __launch_bounds__(kThreads, kBlocks)
    register_tiles(const __grid_constant__ Plan p, const float* in, const float* weights,
                   float* out) {
  __shared__ float a[kTile][kChannels];  // (row, channel)
  __shared__ float b[kChannels][kTile];  // (channel, column)
  const GpuPhase& phase = p.phase[blockIdx.z];
  const int thread = threadIdx.x, ty = thread / kSide, tx = thread % kSide;
  const int first_row = blockIdx.y * kTile, first_column = blockIdx.x * kTile;
  float sums[kEach][kEach] = {};
  for (int t = 0; t < phase.tap_count(); ++t) {
    const Tap tap = p.taps[phase.first_tap + t];
    int pixels[kCopies];  // of the rows that this thread brings
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      pixels[i] = input_of(p, first_row + thread / kChannels + i * kRowsAtOnce, tap);
    }
    for (int first = 0; first < p.c; first += kChannels) {
#pragma unroll
      for (int i = 0; i < kCopies; ++i) {
        const int channel = thread % kChannels;
        a[thread / kChannels + i * kRowsAtOnce][channel] =
            pixels[i] < 0 ? 0.0f : in[pixels[i] + first + channel];
      }
#pragma unroll
      for (int i = 0; i < kCopies; ++i) {
        const int channel = thread / kTile + i * (kThreads / kTile), column = thread % kTile;
        b[channel][column] =
            weights[(tap.weight * p.c + first + channel) * p.k + first_column + column];
      }
      __syncthreads();
#pragma unroll
      for (int channel = 0; channel < kChannels; ++channel) {
        float x[kEach], y[kEach];
#pragma unroll
        for (int i = 0; i < kEach; ++i) x[i] = a[ty + i * kSide][channel];
#pragma unroll
        for (int j = 0; j < kEach; ++j) y[j] = b[channel][tx + j * kSide];
#pragma unroll
        for (int i = 0; i < kEach; ++i) {
#pragma unroll
          for (int j = 0; j < kEach; ++j) sums[i][j] += x[i] * y[j];
        }
      }
      __syncthreads();
    }
  }
#pragma unroll
  for (int i = 0; i < kEach; ++i) {
    float* pixel = out + output_of(p, phase, first_row + ty + i * kSide) + first_column;
#pragma unroll
    for (int j = 0; j < kEach; ++j) pixel[tx + j * kSide] = sums[i][j];
  }
}

Launch prepare(const Plan& p, const Buffers& b) {
  const dim3 grid(p.k / kTile, p.rows() / kTile, p.phases);
  return [=] { register_tiles<<<grid, kThreads>>>(p, b.in, b.weights, b.out); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"04_register_tiles", Format::kFloat32, prepare});
}
