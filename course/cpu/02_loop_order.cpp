// Rung 2: the same products in another order.
//
//   g++ -std=c++17 -O3 -march=native -pthread 02_loop_order.cpp -o rung && ./rung
//
// Changes    the loops: one weight is held and goes along a row of outputs, output[x] += weight *
//            input[x + shift]. Which outputs a tap reaches is found once a row, not once a product.
// Predicted  neighbouring sums do not wait for each other, and the compiler makes vectors of them.
//            Now each vector of sums is loaded and stored for one multiply-add. A core stores one
//            vector a cycle and could multiply two: at most 50% of the peak. Each row of 32 costs
//            some instructions to begin, as many as its 4 vectors of 8 take: 25%.
//            tconv2 has rows of 8 inputs that go to every second output: no vectors, about one
//            product a cycle, 1 / (2 * 8) = 6%.
#include "../common/rung.h"

class LoopOrder : public course::Rung {
 public:
  static constexpr const char* kName = "02_loop_order";
  static constexpr course::Layout kLayout = course::Layout::kNchw;

  LoopOrder(const course::Problem& p, const float* weights, int) : p_(p), weights_(weights) {
    for (int tx = 0; tx < p.kernel; ++tx) columns_.push_back(columns_of(tx));
  }

  void run(const float* input, float* output) {
    const int64_t in_plane = int64_t{1} * p_.in_h * p_.in_w;
    const int64_t out_plane = int64_t{1} * p_.out_h * p_.out_w;
    std::fill(output, output + p_.outputs(), 0.0f);
    for (int image = 0; image < p_.images; ++image)
      for (int co = 0; co < p_.out_c; ++co, output += out_plane)
        for (int ci = 0; ci < p_.in_c; ++ci) {
          const float* in = input + (int64_t{image} * p_.in_c + ci) * in_plane;
          const float* weight = weights_ + (int64_t{co} * p_.in_c + ci) * p_.taps();
          for (int tap = 0; tap < p_.taps(); ++tap) add_tap(tap, weight[tap], in, output);
        }
  }

 private:
  // Outputs first, first + step, ... read inputs from, from + 1, ... through a tap.
  struct Columns {
    int first, from, count;
  };

  Columns columns_of(int tx) const {
    Columns found = {0, 0, 0};
    for (int ox = 0; ox < p_.out_w; ++ox) {
      if (p_.source_x(ox, tx) < 0) continue;
      if (found.count++ == 0) found = {ox, p_.source_x(ox, tx), 1};
    }
    return found;
  }

  void add_tap(int tap, float weight, const float* in, float* out) const {
    const int ty = tap / p_.kernel;
    const Columns x = columns_[static_cast<std::size_t>(tap % p_.kernel)];
    for (int oy = 0; oy < p_.out_h; ++oy) {
      const int iy = p_.source_y(oy, ty);
      if (iy < 0) continue;
      const float* __restrict from = in + iy * p_.in_w + x.from;
      float* __restrict to = out + oy * p_.out_w + x.first;
      if (p_.transposed) {
        for (int i = 0; i < x.count; ++i) to[i * p_.stride] += weight * from[i];
      } else {  // stride 1
        for (int i = 0; i < x.count; ++i) to[i] += weight * from[i];
      }
    }
  }

  course::Problem p_;
  const float* weights_;
  std::vector<Columns> columns_;
};

int main(int argc, char** argv) { return course::climb<LoopOrder>(argc, argv); }
