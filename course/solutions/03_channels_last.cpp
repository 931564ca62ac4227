// Exercise 3: vectors of output channels.
#include "../common/rung.h"
#include "../common/vec.h"

using namespace course;

class Own : public Rung {
 public:
  static constexpr const char* kName = "03_channels_last";
  static constexpr Layout kLayout = Layout::kNhwc;

  Own(const Problem& p, const float* weights, int) : p_(p), weights_(weights) {}

  void run(const float* input, float* output) {
    std::fill(output, output + p_.outputs(), 0.0f);
    for (int image = 0; image < p_.images; ++image)
      for (int tap = 0; tap < p_.taps(); ++tap)
        for (int oy = 0; oy < p_.out_h; ++oy)
          for (int ox = 0; ox < p_.out_w; ++ox) {
            const int iy = p_.source_y(oy, tap / p_.kernel);
            const int ix = p_.source_x(ox, tap % p_.kernel);
            if (iy < 0 || ix < 0) continue;
            add_pixel(input + ((int64_t{image} * p_.in_h + iy) * p_.in_w + ix) * p_.in_c,
                      weights_ + int64_t{tap} * p_.in_c * p_.out_c,
                      output + ((int64_t{image} * p_.out_h + oy) * p_.out_w + ox) * p_.out_c);
          }
  }

 private:
  // out (out_c) += in (in_c) * weights (in_c, out_c). Vec is kLanes floats; out_c is a multiple of it.
  // load(pointer), store(pointer, vector), broadcast(number), and +, * of vectors: common/vec.h.
  void add_pixel(const float* in, const float* weights, float* out) const {
    // YOUR CODE: an element of the input is broadcast, and meets a row of weights vector by vector.
    for (int ci = 0; ci < p_.in_c; ++ci, weights += p_.out_c) {
      const Vec element = broadcast(in[ci]);
      for (int co = 0; co < p_.out_c; co += kLanes) {
        store(out + co, load(out + co) + element * load(weights + co));
      }
    }
    // END
  }

  Problem p_;
  const float* weights_;
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
