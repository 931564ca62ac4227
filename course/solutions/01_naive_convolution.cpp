// Exercise 1: the definition of a convolution, as loops.
#include "../common/rung.h"

class Own : public course::Rung {
 public:
  static constexpr const char* kName = "01_naive_convolution";
  static constexpr course::Layout kLayout = course::Layout::kNchw;

  Own(const course::Problem& p, const float* weights, int) : p_(p), weights_(weights) {}

  void run(const float* input, float* output) {
    for (int image = 0; image < p_.images; ++image)
      for (int co = 0; co < p_.out_c; ++co)
        for (int oy = 0; oy < p_.out_h; ++oy)
          for (int ox = 0; ox < p_.out_w; ++ox) *output++ = sum(input, image, co, oy, ox);
  }

 private:
  // Output (image, co, oy, ox): over all input channels ci and taps (ty, tx), the sum of
  //   input (image, ci, iy, ix) * weight (co, ci, ty, tx)
  // with iy = p_.source_y(oy, ty), ix = p_.source_x(ox, tx). Where one of them is -1 the tap falls on
  // padding and adds nothing. input is (images, in_c, in_h, in_w), weights_ (out_c, in_c, kernel,
  // kernel), flat and in this order: the last index is the next number. The sizes are p_.in_c and so on.
  float sum(const float* input, int image, int co, int oy, int ox) const {
    // YOUR CODE: three loops and a sum.
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
    // END
  }

  course::Problem p_;
  const float* weights_;
};

int main(int argc, char** argv) { return course::climb<Own>(argc, argv); }
