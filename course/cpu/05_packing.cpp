// Rung 5: both operands packed.
//
//   g++ -std=c++17 -O3 -march=native -pthread 05_packing.cpp -o rung && ./rung
//
// Changes    a convolution becomes one matrix product for each phase (common/phases.h), and both of
//            its operands are copied to where the tile reads them in order (common/tile.h):
//            A, the input, a row an output pixel with all its taps after one another (im2col), at
//            each run; B, the weights, as panels one vector wide, once. The sums of all taps stay in
//            the registers: C is written once.
// Predicted  each line of weights is used whole, and neighbouring lines follow each other: 80%. But A
//            is 9 times the input of conv3x3, 9.4 MB: to write it, and to read it back from the L3
//            cache for each pair of panels, costs some 15% of that: 70%.
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/tile.h"

using namespace course;

class Packing : public Rung {
 public:
  static constexpr const char* kName = "05_packing";
  static constexpr Layout kLayout = Layout::kNhwc;

  Packing(const Problem& p, const float* weights, int) : p_(p), phases_(phases_of(p)) {
    for (const Phase& phase : phases_) packed_.push_back(pack(phase, weights));
  }

  void run(const float* input, float* output) {
    for (std::size_t i = 0; i < phases_.size(); ++i) {
      im2col(phases_[i], input);
      product(phases_[i], packed_[i].data(), output);
    }
  }

 private:
  int depth(const Phase& phase) const { return static_cast<int>(phase.taps.size()) * p_.in_c; }

  // The weights of a phase's taps below one another, (depth, out_c), as panels.
  std::vector<float> pack(const Phase& phase, const float* weights) const {
    std::vector<float> below;
    for (const Tap& tap : phase.taps) {
      const float* from = weights + int64_t{tap.weight} * p_.in_c * p_.out_c;
      below.insert(below.end(), from, from + int64_t{1} * p_.in_c * p_.out_c);
    }
    std::vector<float> panels(below.size());
    pack_panels(below.data(), p_.out_c, depth(phase), p_.out_c, panels.data());
    return panels;
  }

  // A (rows, taps, in_c), zeros for padding.
  void im2col(const Phase& phase, const float* input) {
    const int64_t rows = map_of(p_).rows(p_.images);
    a_.resize(std::max(a_.size(), static_cast<std::size_t>(rows * depth(phase))));
    float* to = a_.data();
    for (int64_t row = 0; row < rows; ++row)
      for (const Tap& tap : phase.taps) {
        const float* from = input_of(p_, input, row_of(p_, row), tap.dy, tap.dx);
        if (from != nullptr) std::copy(from, from + p_.in_c, to);
        else std::fill(to, to + p_.in_c, 0.0f);
        to += p_.in_c;
      }
  }

  // Two panels of weights meet all rows before the next two.
  void product(const Phase& phase, const float* panels, float* output) const {
    const int64_t rows = map_of(p_).rows(p_.images);
    const int64_t depth = this->depth(phase);
    for (int co = 0; co < p_.out_c; co += 2 * kLanes, panels += 2 * kLanes * depth)
      for (int64_t first = 0; first < rows; first += kTileRows) {
        const int count = static_cast<int>(std::min<int64_t>(kTileRows, rows - first));
        float* c[kTileRows];
        for (int r = 0; r < count; ++r)
          c[r] = output + output_of(p_, phase, row_of(p_, first + r)) + co;
        multiply(count, static_cast<int>(depth), a_.data() + first * depth, depth, panels, c, false);
      }
  }

  Problem p_;
  std::vector<Phase> phases_;
  std::vector<std::vector<float>> packed_;  // for each phase
  std::vector<float> a_;                    // of the phase at hand
};

int main(int argc, char** argv) { return climb<Packing>(argc, argv); }
