// Rung 2: coalesced: neighbouring threads take neighbouring output channels.
//
//   nvcc -O3 -std=c++17 -arch=native 02_coalesced.cu -o rung && ./rung
//
// What changes: only which thread computes which output. A warp is now one pixel and 32 channels:
// the input is one word that all read (a broadcast), the 32 weights are one line of 128 bytes, and
// so are the 32 outputs.
//
// Prediction for one H200: 6 TFLOPS, 15 times rung 1. Still two loads for a multiply-add, and the
// L1 cache answers one warp a clock: at best 32 multiply-adds every 2 clocks, an eighth of 128, so
// 8.4 TFLOPS; the addresses' arithmetic and waits for the L2 cache take some.
#include "../common/gpu.cuh"

namespace {

using namespace course;

constexpr int kColumns = 32, kRows = 8;  // of a block of threads

__global__ void coalesced(const __grid_constant__ Plan p, const float* in, const float* weights,
                          float* out) {
  const GpuPhase& phase = p.phase[blockIdx.z];
  const int row = blockIdx.y * kRows + threadIdx.y, column = blockIdx.x * kColumns + threadIdx.x;
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
  const dim3 grid(p.k / kColumns, p.rows() / kRows, p.phases), block(kColumns, kRows);
  return [=] { coalesced<<<grid, block>>>(p, b.in, b.weights, b.out); };
}

}  // namespace

int main(int argc, char** argv) {
  return climb(argc, argv, {"02_coalesced", Format::kFloat32, prepare});
}
