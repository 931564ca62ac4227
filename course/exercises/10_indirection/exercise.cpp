// Exercise 10: nothing is copied: a table of pointers, and a row of zeros for padding.
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/tile.h"

using namespace course;

// c[r] (2 vectors) += the sum over k of a[r][k] * panels (k), each row r with a pointer of its own.
template <int R>
void tile_of_pointers(int depth, const float* const* a, const float* b, int64_t panel,
                      float* const* c, bool accumulate) {
  Vec sum[R][2] = {};
  for (int k = 0; k < depth; ++k) {
    const Vec b0 = load(b + k * kLanes), b1 = load(b + panel + k * kLanes);
    COURSE_UNROLL
    for (int r = 0; r < R; ++r) {
      const Vec element = broadcast(a[r][k]);
      sum[r][0] += element * b0;
      sum[r][1] += element * b1;
    }
  }
  for (int r = 0; r < R; ++r) {
    store(c[r], accumulate ? load(c[r]) + sum[r][0] : sum[r][0]);
    store(c[r] + kLanes, accumulate ? load(c[r] + kLanes) + sum[r][1] : sum[r][1]);
  }
}

template <int R = kTileRows>
void multiply_pointers(int rows, int depth, const float* const* a, const float* b, int64_t panel,
                       float* const* c, bool accumulate) {
  if constexpr (R > 1) {
    if (rows < R) return multiply_pointers<R - 1>(rows, depth, a, b, panel, c, accumulate);
  }
  tile_of_pointers<R>(depth, a, b, panel, c, accumulate);
}

class Own : public Rung {
 public:
  static constexpr const char* kName = "10_indirection";
  static constexpr Layout kLayout = Layout::kNhwc;

  Own(const Problem& p, const float* weights, int)
      : p_(p), phases_(phases_of(p)), zeros_(p.in_c, 0.0f) {
    for (const Phase& phase : phases_) {
      std::vector<float> below;
      for (const Tap& tap : phase.taps) {
        const float* from = weights + int64_t{tap.weight} * p.in_c * p.out_c;
        below.insert(below.end(), from, from + int64_t{1} * p.in_c * p.out_c);
      }
      const int depth = static_cast<int>(phase.taps.size()) * p.in_c;
      packed_.emplace_back(below.size());
      pack_panels(below.data(), p.out_c, depth, p.out_c, packed_.back().data());
    }
  }

  void run(const float* input, float* output) {
    for (std::size_t i = 0; i < phases_.size(); ++i) product(phases_[i], packed_[i].data(), input, output);
  }

 private:
  // a[r]: the in_c numbers that row first + r reads through a tap; zeros_ where that is padding.
  // row_of and input_of: common/phases.h.
  void point(const Tap& tap, int64_t first, int count, const float* input, const float** a) const {
    // YOUR CODE: a pointer for each of the `count` rows.
    (void)tap, (void)first, (void)input;
    for (int r = 0; r < count; ++r) a[r] = zeros_.data();
    // END
  }

  void product(const Phase& phase, const float* panels, const float* input, float* output) const {
    const int64_t rows = map_of(p_).rows(p_.images);
    const int64_t panel = int64_t(phase.taps.size()) * p_.in_c * kLanes;
    std::vector<const float*> a(phase.taps.size() * kTileRows);
    for (int64_t first = 0; first < rows; first += kTileRows) {
      const int count = static_cast<int>(std::min<int64_t>(kTileRows, rows - first));
      for (std::size_t t = 0; t < phase.taps.size(); ++t) {
        point(phase.taps[t], first, count, input, &a[t * kTileRows]);
      }
      float* c[kTileRows];
      for (int r = 0; r < count; ++r) c[r] = output + output_of(p_, phase, row_of(p_, first + r));
      for (int co = 0; co < p_.out_c; co += 2 * kLanes) {
        for (std::size_t t = 0; t < phase.taps.size(); ++t) {
          const float* b = panels + co / kLanes * panel + int64_t(t) * p_.in_c * kLanes;
          multiply_pointers(count, p_.in_c, &a[t * kTileRows], b, panel, c, t > 0);
        }
        for (int r = 0; r < count; ++r) c[r] += 2 * kLanes;
      }
    }
  }

  Problem p_;
  std::vector<Phase> phases_;
  std::vector<float> zeros_;                // a pixel of padding
  std::vector<std::vector<float>> packed_;  // for each phase
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
