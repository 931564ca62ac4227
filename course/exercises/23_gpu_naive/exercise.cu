// Exercise 23: a thread an output.
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

// Output (row, column): the sum over taps and input channels c of
//   in[input_of(p, row, tap) + c] * weights[(tap * in_c + c) * out_c + column]
__global__ void convolve(Problem p, const float* in, const float* weights, float* out, int rows) {
  // YOUR CODE: which output is this thread's? Some threads have none.
  (void)p, (void)in, (void)weights, (void)out, (void)rows;
  // END
}

class Own : public Rung {
 public:
  static constexpr const char* kName = "23_gpu_naive";
  static constexpr Layout kLayout = Layout::kNhwc;

  Own(const Problem& p, const float* weights, int) : p_(p), weights_(p.weights()) {
    weights_.put(std::vector<float>(weights, weights + p.weights()));
  }

  void run(const float* input, float* output) {
    const int rows = p_.images * p_.out_h * p_.out_w, threads = 256;
    const int blocks = (rows * p_.out_c + threads - 1) / threads;
    LAUNCH(convolve, dim3(blocks), dim3(threads), p_, input, weights_.data(), output, rows);
  }

 private:
  Problem p_;
  Buffer weights_;  // (taps, in_c, out_c), the GPU's memory
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
