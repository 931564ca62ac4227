// Exercise 25: a block's tiles in shared memory.
#include "../common/cuda_on_cpu.h"
#include "../common/rung.h"

using namespace course;

constexpr int kTile = 16;  // rows, columns and channels of a block's tiles

// Where pixel `row` (of images * out_h * out_w) reads its in_c numbers through a tap; -1: padding.
__device__ inline int64_t input_of(const Problem& p, int row, int tap) {
  const int iy = p.source_y(row / p.out_w % p.out_h, tap / p.kernel);
  const int ix = p.source_x(row % p.out_w, tap % p.kernel);
  if (iy < 0 || ix < 0) return -1;
  const int image = row / p.out_w / p.out_h;
  return ((int64_t{image} * p.in_h + iy) * p.in_w + ix) * p.in_c;
}

// A block of 16 x 16 threads computes 16 rows (pixels) by 16 columns (output channels). For each tap and
// each 16 input channels it reads a tile of the input and one of the weights once for all its threads.
__global__ void convolve(Problem p, const float* in, const float* weights, float* out, int rows) {
  __shared__ float a[kTile][kTile];  // (row, channel)
  __shared__ float b[kTile][kTile];  // (channel, column)
  const int x = threadIdx.x, y = threadIdx.y;
  const int row = blockIdx.y * kTile + y, column = blockIdx.x * kTile + x;
  float sum = 0;
  for (int tap = 0; tap < p.taps(); ++tap) {
    const int64_t pixel = row < rows ? input_of(p, row, tap) : -1;
    const float* weight = weights + int64_t{tap} * p.in_c * p.out_c;
    for (int c = 0; c < p.in_c; c += kTile) {
      // YOUR CODE: this thread's number of each tile, barriers, and kTile multiply-adds.
      (void)pixel, (void)weight, (void)in, (void)column, (void)a, (void)b, (void)y, (void)c;
      // END
    }
  }
  if (row < rows) out[int64_t{row} * p.out_c + column] = sum;
}

class Own : public Rung {
 public:
  static constexpr const char* kName = "25_gpu_shared_memory";
  static constexpr Layout kLayout = Layout::kNhwc;

  Own(const Problem& p, const float* weights, int) : p_(p), weights_(p.weights()) {
    weights_.put(std::vector<float>(weights, weights + p.weights()));
  }

  void run(const float* input, float* output) {
    const int rows = p_.images * p_.out_h * p_.out_w;
    const dim3 grid(p_.out_c / kTile, (rows + kTile - 1) / kTile);
    LAUNCH(convolve, grid, dim3(kTile, kTile), p_, input, weights_.data(), output, rows);
  }

 private:
  Problem p_;
  Buffer weights_;  // (taps, in_c, out_c), the GPU's memory
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
