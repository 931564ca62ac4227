// Rung 3: channels last.
//
//   g++ -std=c++17 -O3 -march=native -pthread 03_nhwc.cpp -o rung && ./rung
//
// Changes    the layout: the channels of a pixel lie next to each other (NHWC), and so do the weights
//            of neighbouring output channels. The innermost loop goes along output channels, of
//            which there are 128 or 256, whatever the map, the stride and the padding are.
// Predicted  full vectors on both layers: tconv2 leaves its 6% behind. But for each multiply-add a
//            vector of weights and one of sums are loaded, and one of sums is stored. The weights of
//            a tap (256 KiB) come from the L2 cache, at some 20 to 30 bytes a cycle: 8 lanes take 1
//            to 1.5 cycles where the units need half a cycle: 30% of the peak.
#include "../common/rung.h"
#include "../common/vec.h"

using namespace course;

class Nhwc : public Rung {
 public:
  static constexpr const char* kName = "03_nhwc";
  static constexpr Layout kLayout = Layout::kNhwc;

  Nhwc(const Problem& p, const float* weights, int) : p_(p), weights_(weights) {}

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
  // out (out_c) += in (in_c) * weights (in_c, out_c)
  void add_pixel(const float* in, const float* weights, float* out) const {
    for (int ci = 0; ci < p_.in_c; ++ci, weights += p_.out_c) {
      const Vec element = broadcast(in[ci]);
      for (int co = 0; co < p_.out_c; co += kLanes) {  // out_c is a multiple of the lanes
        store(out + co, load(out + co) + element * load(weights + co));
      }
    }
  }

  Problem p_;
  const float* weights_;
};

int main(int argc, char** argv) { return climb<Nhwc>(argc, argv); }
