// Exercise 24: neighbouring threads read neighbouring numbers.
#include "../common/cuda_on_cpu.h"
#include "../common/rung.h"

using namespace course;

// Where pixel `row` (of images * out_h * out_w) reads its in_c numbers through a tap; -1: padding.
__device__ inline int64_t input_of(const Problem& p, int row, int tap) {
  const int iy = p.source_y(row / p.out_w % p.out_h, tap / p.kernel);
  const int ix = p.source_x(row % p.out_w, tap % p.kernel);
  if (iy < 0 || ix < 0) return -1;
  const int image = row / p.out_w / p.out_h;
  return ((int64_t{image} * p.in_h + iy) * p.in_w + ix) * p.in_c;
}

// A block has 32 x 8 threads, and computes 32 columns (output channels) of 8 rows (pixels). The 32
// threads of a warp have the same threadIdx.y.
__global__ void convolve(Problem p, const float* in, const float* weights, float* out, int rows) {
  // YOUR CODE: the row and the column of this thread, so that a warp reads 32 neighbouring weights.
  const int row = blockIdx.y * 8 + threadIdx.y, column = blockIdx.x * 32 + threadIdx.x;
  // END
  if (row >= rows) return;
  float sum = 0;
  for (int tap = 0; tap < p.taps(); ++tap) {
    const int64_t pixel = input_of(p, row, tap);
    if (pixel < 0) continue;
    const float* a = in + pixel;
    const float* b = weights + int64_t{tap} * p.in_c * p.out_c + column;
    for (int c = 0; c < p.in_c; ++c) sum += a[c] * b[c * p.out_c];
  }
  out[int64_t{row} * p.out_c + column] = sum;
}

class Own : public Rung {
 public:
  static constexpr const char* kName = "24_gpu_coalesced";
  static constexpr Layout kLayout = Layout::kNhwc;

  Own(const Problem& p, const float* weights, int) : p_(p), weights_(p.weights()) {
    weights_.put(std::vector<float>(weights, weights + p.weights()));
  }

  void run(const float* input, float* output) {
    const int rows = p_.images * p_.out_h * p_.out_w;
    const dim3 grid(p_.out_c / 32, (rows + 7) / 8);
    LAUNCH(convolve, grid, dim3(32, 8), p_, input, weights_.data(), output, rows);
  }

 private:
  Problem p_;
  Buffer weights_;  // (taps, in_c, out_c), the GPU's memory
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
