// Rung 1: one thread an output, neighbouring threads take neighbouring pixels.
//
//   nvcc -O3 -std=c++17 -arch=native 01_naive.cu -o rung && ./rung
//
// Prediction for one H200: 0.4 TFLOPS, under 1% of the 67 of float32. The 32 threads of a warp read
// 32 pixels, 1 KiB apart: 32 lines of the L1 cache for 32 multiply-adds, and the cache serves about
// a line a clock. So a multiprocessor does 1 multiply-add a clock instead of 128:
// 132 * 1.75 GHz * 2 = 0.46 TFLOPS. The stores are as scattered: 32 sectors of 32 bytes for 128
// bytes.
#include "../common/gpu.cuh"

namespace {

using namespace course;

constexpr int kThreads = 256;

__global__ void naive(const __grid_constant__ Plan p, const float* in, const float* weights,
                      float* out) {
  const GpuPhase& phase = p.phase[blockIdx.z];
  const int row = blockIdx.x * kThreads + threadIdx.x, column = blockIdx.y;
  float sum = 0;
  for (int t = 0; t < phase.tap_count(); ++t) {
    const Tap tap = p.taps[phase.first_tap + t];
    const int pixel = input_of(p, row, tap);
    if (pixel < 0) continue;
    const float* a = in + pixel;
    const float* b = weights + tap.weight * p.c * p.k + column;
    for (int i = 0; i < p.c; ++i) sum += a[i] * b[i * p.k];
  }
  out[output_of(p, phase, row) + column] = sum;
}

Launch prepare(const Plan& p, const Buffers& b) {
  const dim3 grid(p.rows() / kThreads, p.k, p.phases);
  return [=] { naive<<<grid, kThreads>>>(p, b.in, b.weights, b.out); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"01_naive", Format::kFloat32, prepare});
}
