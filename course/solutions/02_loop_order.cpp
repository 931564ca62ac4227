// Exercise 2: the same products in an order that makes vectors of them.
#include "../common/rung.h"

class Own : public course::Rung {
 public:
  static constexpr const char* kName = "02_loop_order";
  static constexpr course::Layout kLayout = course::Layout::kNchw;

  Own(const course::Problem& p, const float* weights, int) : p_(p), weights_(weights) {
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
  // Outputs first, first + step, ... of a row read inputs from, from + 1, ... through a tap.
  struct Columns {
    int first, from, count, step;
  };

  Columns columns_of(int tx) const {
    Columns found = {0, 0, 0, p_.transposed ? p_.stride : 1};
    for (int ox = 0; ox < p_.out_w; ++ox) {
      if (p_.source_x(ox, tx) < 0) continue;
      if (found.count++ == 0) found.first = ox, found.from = p_.source_x(ox, tx);
    }
    return found;
  }

  // Adds weight * input to all outputs of a plane that meet an input through this tap: a row oy of
  // `out` (out_h, out_w) and row iy = p_.source_y(oy, ty) of `in` (in_h, in_w), where iy is not -1.
  void add_tap(int tap, float weight, const float* in, float* out) const {
    const int ty = tap / p_.kernel;
    const Columns x = columns_[static_cast<std::size_t>(tap % p_.kernel)];
    // YOUR CODE: a loop over rows, and in it one along x that the compiler makes vectors of.
    for (int oy = 0; oy < p_.out_h; ++oy) {
      const int iy = p_.source_y(oy, ty);
      if (iy < 0) continue;
      const float* __restrict from = in + iy * p_.in_w + x.from;
      float* __restrict to = out + oy * p_.out_w + x.first;
      if (x.step == 1) {
        for (int i = 0; i < x.count; ++i) to[i] += weight * from[i];
      } else {
        for (int i = 0; i < x.count; ++i) to[i * x.step] += weight * from[i];
      }
    }
    // END
  }

  course::Problem p_;
  const float* weights_;
  std::vector<Columns> columns_;
};

int main(int argc, char** argv) { return course::climb<Own>(argc, argv); }
