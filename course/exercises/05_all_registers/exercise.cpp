// Exercise 5: as many accumulators as there are registers for.
#include "../common/rung.h"
#include "../common/vec.h"

using namespace course;

// The tile below holds kTileRows x 2 sums, 2 vectors of weights and an element of the input, each in a
// register; the machine has kRegisters.
// YOUR CODE: how many rows? 28 accumulators where there are 32 registers.
constexpr int kTileRows = 0;
// END
static_assert(kTileRows > 0, "YOUR CODE: say how many rows the tile has");

// c[r] (2 vectors) += the sum over k of a[r][k] * b (k, 2 vectors), whose rows are b_stride apart.
template <int R>
void tile(int depth, const float* const* a, const float* b, int64_t b_stride, float* const* c) {
  Vec sum[R][2] = {};
  for (int k = 0; k < depth; ++k, b += b_stride) {
    const Vec b0 = load(b), b1 = load(b + kLanes);
    COURSE_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vec element = broadcast(a[r][k]);
      sum[r][0] += element * b0;
      sum[r][1] += element * b1;
    }
  }
  COURSE_UNROLL
  for (int r = 0; r < R; ++r) {
    store(c[r], load(c[r]) + sum[r][0]);
    store(c[r] + kLanes, load(c[r] + kLanes) + sum[r][1]);
  }
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
  static constexpr const char* kName = "05_all_registers";
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
