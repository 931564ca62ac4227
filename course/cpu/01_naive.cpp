// Rung 1: the definition, as it is written down.
//
//   g++ -std=c++17 -O3 -march=native -pthread 01_naive.cpp -o rung && ./rung
//
//   output (image, co, oy, ox) = sum over ci, ty, tx of
//       input (image, ci, source(oy, ty), source(ox, tx)) * weight (co, ci, ty, tx)
//
// Changes    nothing yet: seven loops, one sum at a time, maps of planes (NCHW) as in the textbook.
// Predicted  1% of the peak. Every multiply-add waits for the one before it (4 cycles), and only one
//            of 8 or 16 lanes works: the peak is 2 instructions a cycle of 8 lanes, so at best
//            1 / (4 * 2 * 8) = 1.6%. Finding out which input a tap reads costs about as much again.
#include "../common/rung.h"

class Naive : public course::Rung {
 public:
  static constexpr const char* kName = "01_naive";
  static constexpr course::Layout kLayout = course::Layout::kNchw;

  Naive(const course::Problem& p, const float* weights, int) : p_(p), weights_(weights) {}

  void run(const float* input, float* output) {
    for (int image = 0; image < p_.images; ++image)
      for (int co = 0; co < p_.out_c; ++co)
        for (int oy = 0; oy < p_.out_h; ++oy)
          for (int ox = 0; ox < p_.out_w; ++ox) *output++ = sum(input, image, co, oy, ox);
  }

 private:
  float sum(const float* input, int image, int co, int oy, int ox) const {
    float sum = 0;
    for (int ci = 0; ci < p_.in_c; ++ci) {
      const float* plane = input + (int64_t{image} * p_.in_c + ci) * p_.in_h * p_.in_w;
      const float* weight = weights_ + (int64_t{co} * p_.in_c + ci) * p_.taps();
      for (int ty = 0; ty < p_.kernel; ++ty)
        for (int tx = 0; tx < p_.kernel; ++tx) {
          const int iy = p_.source_y(oy, ty), ix = p_.source_x(ox, tx);
          if (iy < 0 || ix < 0) continue;
          sum += plane[iy * p_.in_w + ix] * weight[ty * p_.kernel + tx];
        }
    }
    return sum;
  }

  course::Problem p_;
  const float* weights_;
};

int main(int argc, char** argv) { return course::climb<Naive>(argc, argv); }
