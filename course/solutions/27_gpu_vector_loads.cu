// Exercise 27: 16 bytes an instruction.
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

// As exercise 26, but both tiles are fetched in float4: 16 bytes a thread and instruction.
__global__ void convolve(Problem p, const float* in, const float* weights, float* out, int rows) {
  __shared__ float a[kDepth][kRows];                 // (channel, row)
  alignas(16) __shared__ float b[kDepth][kColumns];  // (channel, column)
  const int t = threadIdx.x, y = t / (kColumns / kEach), x0 = t % (kColumns / kEach);
  const int first_row = blockIdx.y * kRows;
  float sum[kEach][kEach] = {};
  for (int step = 0; step < p.taps() * (p.in_c / kDepth); ++step) {
    const int tap = step / (p.in_c / kDepth), c = step % (p.in_c / kDepth) * kDepth;
    const float* weight =
        weights + (int64_t{tap} * p.in_c + c) * p.out_c + blockIdx.x * kColumns;
    // Each of the 256 threads fetches 4 channels of a row for a, and 4 columns of a channel for b.
    // YOUR CODE: two float4 from memory; a takes its four one below the other.
    const int row = t / (kDepth / 4), channel = t % (kDepth / 4) * 4;
    const int64_t pixel = first_row + row < rows ? input_of(p, first_row + row, tap) : -1;
    float4 four = make_float4(0, 0, 0, 0);
    if (pixel >= 0) four = *reinterpret_cast<const float4*>(in + pixel + c + channel);
    a[channel][row] = four.x, a[channel + 1][row] = four.y;
    a[channel + 2][row] = four.z, a[channel + 3][row] = four.w;
    const int depth = t / (kColumns / 4), column = t % (kColumns / 4) * 4;
    *reinterpret_cast<float4*>(&b[depth][column]) =
        *reinterpret_cast<const float4*>(weight + int64_t{depth} * p.out_c + column);
    // END
    __syncthreads();
    for (int k = 0; k < kDepth; ++k) {
      float x[kEach], w[kEach];
      for (int i = 0; i < kEach; ++i) x[i] = a[k][y * kEach + i], w[i] = b[k][x0 * kEach + i];
      for (int i = 0; i < kEach; ++i)
        for (int j = 0; j < kEach; ++j) sum[i][j] += x[i] * w[j];
    }
    __syncthreads();
  }
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
  static constexpr const char* kName = "27_gpu_vector_loads";
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
