// Exercise 8: a transposed convolution without the zeros.
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/tile.h"

using namespace course;

// The phases of a problem. Outputs (s y + py, s x + px) of a transposed convolution of stride s, for one
// (py, px), all meet the same taps. Input i adds to output s i + t - pad through tap t; so an output
// s y + py reads input y + dy with dy = (py + pad - t) / s, where that is whole.
// A Tap is {dy, dx, ty * kernel + tx}. An ordinary convolution is one phase, with dy = ty - pad.
std::vector<Phase> own_phases(const Problem& p) {
  if (!p.transposed) return phases_of(p);
  std::vector<Phase> phases;
  for (int py = 0; py < p.stride; ++py)
    for (int px = 0; px < p.stride; ++px) {
      Phase phase = {py, px, {}};
      // YOUR CODE: the taps (ty, tx) of this phase: phase.taps.push_back({dy, dx, ...}).
      for (int ty = 0; ty < p.kernel; ++ty)
        for (int tx = 0; tx < p.kernel; ++tx) {
          const int y = py + p.pad - ty, x = px + p.pad - tx;
          if (y % p.stride != 0 || x % p.stride != 0) continue;
          phase.taps.push_back({y / p.stride, x / p.stride, ty * p.kernel + tx});
        }
      // END
      phases.push_back(phase);
    }
  return phases;
}

class Own : public Rung {
 public:
  static constexpr const char* kName = "08_phases";
  static constexpr Layout kLayout = Layout::kNhwc;

  Own(const Problem& p, const float* weights, int) : p_(p), phases_(own_phases(p)) {
    for (const Phase& phase : phases_) {
      std::vector<float> below;  // the weights of a phase's taps below one another, (depth, out_c)
      for (const Tap& tap : phase.taps) {
        const float* from = weights + int64_t{tap.weight} * p.in_c * p.out_c;
        below.insert(below.end(), from, from + int64_t{1} * p.in_c * p.out_c);
      }
      packed_.emplace_back(below.size());
      pack(below.data(), static_cast<int>(depth_of(phase)), p.out_c, packed_.back().data());
    }
  }

  void run(const float* input, float* output) {
    for (std::size_t i = 0; i < phases_.size(); ++i) {
      im2col(phases_[i], input);
      product(phases_[i], packed_[i].data(), output);
    }
  }

 private:
  int64_t depth_of(const Phase& phase) const { return int64_t(phase.taps.size()) * p_.in_c; }

  // b (depth, columns) as panels one vector wide: columns 0 to kLanes - 1 of row 0, of row 1, ... of
  // the last row, then the next kLanes columns. The tile reads a panel from its begin to its end.
  void pack(const float* b, int depth, int columns, float* panels) const {
    for (int first = 0; first < columns; first += kLanes)
      for (int k = 0; k < depth; ++k, panels += kLanes) store(panels, load(b + k * columns + first));
  }

  // a_ (rows, taps of the phase, in_c): what each output reads, zeros for padding.
  // row_of(p_, row) is a row's pixel; input_of(p_, input, pixel, dy, dx) are the in_c numbers that it
  // reads through a tap, or nullptr for padding.
  void im2col(const Phase& phase, const float* input) {
    const int64_t rows = map_of(p_).rows(p_.images);
    a_.resize(std::max(a_.size(), static_cast<std::size_t>(rows * depth_of(phase))));
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
    const int64_t rows = map_of(p_).rows(p_.images), depth = depth_of(phase);
    for (int co = 0; co < p_.out_c; co += 2 * kLanes, panels += 2 * kLanes * depth)
      for (int64_t first = 0; first < rows; first += kTileRows) {
        const int count = static_cast<int>(std::min<int64_t>(kTileRows, rows - first));
        float* c[kTileRows];
        for (int r = 0; r < count; ++r) c[r] = output + output_of(p_, phase, row_of(p_, first + r)) + co;
        multiply(count, static_cast<int>(depth), a_.data() + first * depth, depth, panels, c, false);
      }
  }

  Problem p_;
  std::vector<Phase> phases_;
  std::vector<std::vector<float>> packed_;  // for each phase
  std::vector<float> a_;                    // of the phase at hand
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
