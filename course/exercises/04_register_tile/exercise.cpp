// Exercise 4: a tile of sums that stays in registers.
#include "../common/rung.h"
#include "../common/vec.h"

using namespace course;

constexpr int kTileRows = 4;

// c[r] (2 vectors) += the sum over k of a[r][k] * b (k, 2 vectors), whose rows are b_stride apart.
template <int R>
void tile(int depth, const float* const* a, const float* b, int64_t b_stride, float* const* c) {
  // YOUR CODE: R x 2 sums of their own; memory is written when k is through.
  (void)depth, (void)a, (void)b, (void)b_stride, (void)c;
  // END
}

// Fewer rows are a kernel of their own.
template <int R = kTileRows>
void multiply(int rows, int depth, const float* const* a, const float* b, int64_t b_stride,
              float* const* c) {
  if constexpr (R > 1) {
    if (rows < R) return multiply<R - 1>(rows, depth, a, b, b_stride, c);
  }
  tile<R>(depth, a, b, b_stride, c);
}

class Own : public Rung {
 public:
  static constexpr const char* kName = "04_register_tile";
  static constexpr Layout kLayout = Layout::kNhwc;

  Own(const Problem& p, const float* weights, int) : p_(p), weights_(weights), rows_(p.taps()) {
    for (int tap = 0; tap < p.taps(); ++tap) find_rows(tap);
  }

  void run(const float* input, float* output) {
    std::fill(output, output + p_.outputs(), 0.0f);
    for (int tap = 0; tap < p_.taps(); ++tap) {
      const std::vector<Row>& rows = rows_[tap];
      for (std::size_t first = 0; first < rows.size(); first += kTileRows) {
        const int count = static_cast<int>(std::min<std::size_t>(kTileRows, rows.size() - first));
        const float* a[kTileRows];
        float* c[kTileRows];
        for (int r = 0; r < count; ++r) {
          a[r] = input + rows[first + r].in;
          c[r] = output + rows[first + r].out;
        }
        const float* b = weights_ + int64_t{tap} * p_.in_c * p_.out_c;
        for (int co = 0; co < p_.out_c; co += 2 * kLanes, b += 2 * kLanes) {
          multiply(count, p_.in_c, a, b, p_.out_c, c);
          for (int r = 0; r < count; ++r) c[r] += 2 * kLanes;
        }
      }
    }
  }

 private:
  struct Row {
    int64_t in, out;  // floats from the begin of the maps
  };

  // The outputs that read an input pixel through a tap; what falls on padding is no row.
  void find_rows(int tap) {
    for (int image = 0; image < p_.images; ++image)
      for (int oy = 0; oy < p_.out_h; ++oy)
        for (int ox = 0; ox < p_.out_w; ++ox) {
          const int iy = p_.source_y(oy, tap / p_.kernel);
          const int ix = p_.source_x(ox, tap % p_.kernel);
          if (iy < 0 || ix < 0) continue;
          rows_[tap].push_back({((int64_t{image} * p_.in_h + iy) * p_.in_w + ix) * p_.in_c,
                                ((int64_t{image} * p_.out_h + oy) * p_.out_w + ox) * p_.out_c});
        }
  }

  Problem p_;
  const float* weights_;
  std::vector<std::vector<Row>> rows_;
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
