// Exercise 28: the next tiles are on their way while these are multiplied.
#include "../common/cuda_on_cpu.h"
#include "../common/rung.h"

using namespace course;

constexpr int kRows = 64, kColumns = 64, kDepth = 16;  // of a block's tiles
constexpr int kEach = 4;                              // a thread's tile is kEach x kEach
constexpr int kThreads = kRows / kEach * (kColumns / kEach);

// Where pixel `row` (of images * out_h * out_w) reads its in_c numbers through a tap; -1: padding.
__device__ inline int64_t input_of(const Problem& p, int row, int tap) {
  const int iy = p.source_y(row / p.out_w % p.out_h, tap / p.kernel);
  const int ix = p.source_x(row % p.out_w, tap % p.kernel);
  if (iy < 0 || ix < 0) return -1;
  const int image = row / p.out_w / p.out_h;
  return ((int64_t{image} * p.in_h + iy) * p.in_w + ix) * p.in_c;
}

struct Tiles {
  float a[kDepth][kRows];     // (channel, row)
  float b[kDepth][kColumns];  // (channel, column)
};

// The tiles of a step: all threads of the block take part.
__device__ inline void fetch(const Problem& p, const float* in, const float* weights, int rows,
                             int step, Tiles& to) {
  const int first_row = blockIdx.y * kRows, t = threadIdx.x;
  const int tap = step / (p.in_c / kDepth), c = step % (p.in_c / kDepth) * kDepth;
  const float* weight = weights + (int64_t{tap} * p.in_c + c) * p.out_c + blockIdx.x * kColumns;
  for (int i = t; i < kRows * kDepth; i += kThreads) {
    const int row = first_row + i / kDepth;
    const int64_t pixel = row < rows ? input_of(p, row, tap) : -1;
    to.a[i % kDepth][i / kDepth] = pixel < 0 ? 0 : in[pixel + c + i % kDepth];
  }
  for (int i = t; i < kDepth * kColumns; i += kThreads) {
    to.b[i / kColumns][i % kColumns] = weight[int64_t{i / kColumns} * p.out_c + i % kColumns];
  }
}

__device__ inline void multiply(const Tiles& tiles, int y, int x0, float (&sum)[kEach][kEach]) {
  for (int k = 0; k < kDepth; ++k) {
    float x[kEach], w[kEach];
    for (int i = 0; i < kEach; ++i) x[i] = tiles.a[k][y * kEach + i], w[i] = tiles.b[k][x0 * kEach + i];
    for (int i = 0; i < kEach; ++i)
      for (int j = 0; j < kEach; ++j) sum[i][j] += x[i] * w[j];
  }
}

__global__ void convolve(Problem p, const float* in, const float* weights, float* out, int rows) {
  __shared__ Tiles tiles[2];
  const int y = threadIdx.x / (kColumns / kEach), x0 = threadIdx.x % (kColumns / kEach);
  const int first_row = blockIdx.y * kRows, steps = p.taps() * (p.in_c / kDepth);
  float sum[kEach][kEach] = {};
  // YOUR CODE: fetch step s + 1 into one buffer while step s is multiplied from the other.
  fetch(p, in, weights, rows, 0, tiles[0]);
  __syncthreads();
  for (int step = 0; step < steps; ++step) {
    if (step + 1 < steps) fetch(p, in, weights, rows, step + 1, tiles[(step + 1) % 2]);
    multiply(tiles[step % 2], y, x0, sum);
    __syncthreads();
  }
  // END
  for (int i = 0; i < kEach; ++i) {
    const int row = first_row + y * kEach + i;
    if (row >= rows) continue;
    for (int j = 0; j < kEach; ++j) {
      out[int64_t{row} * p.out_c + blockIdx.x * kColumns + x0 * kEach + j] = sum[i][j];
    }
  }
}

class Own : public Rung {
 public:
  static constexpr const char* kName = "28_gpu_double_buffering";
  static constexpr Layout kLayout = Layout::kNhwc;

  Own(const Problem& p, const float* weights, int) : p_(p), weights_(p.weights()) {
    weights_.put(std::vector<float>(weights, weights + p.weights()));
  }

  void run(const float* input, float* output) {
    const int rows = p_.images * p_.out_h * p_.out_w;
    const dim3 grid(p_.out_c / kColumns, (rows + kRows - 1) / kRows);
    LAUNCH(convolve, grid, dim3(kThreads), p_, input, weights_.data(), output, rows);
  }

 private:
  Problem p_;
  Buffer weights_;  // (taps, in_c, out_c), the GPU's memory
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
