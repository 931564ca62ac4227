// Rung 6: blocks that fit the caches.
//
//   g++ -std=c++17 -O3 -march=native -pthread 06_cache_blocking.cpp -o rung && ./rung
//
// Changes    the order of the same tiles. The sum is cut into stretches of one tap, the rows into
//            blocks of 96; what is used again soon is near:
//
//              for each block of rows    C: 96 x 256 floats, 96 KiB       L2, for all stretches
//                for each stretch        B: 256 x 256 floats, 256 KiB     L2, for all tiles
//                  for each tile         A: 6 x 256 floats, 6 KiB         L1, for all panels
//                    for each 2 panels   B: 256 x 16 floats, 16 KiB       from L2, in order
//
//            A is stored stretch by stretch, so that a block of it is one piece. In return the sums
//            go to C once a stretch: 12 vectors are loaded and stored for 256 x 12 products.
// Predicted  A is read from where im2col put it once, not once for each pair of panels. A tile waits
//            for nothing but its panels, 16 KiB for 1,536 cycles of products: 11 bytes a cycle, of 32
//            that L2 can give. 90% while it multiplies; im2col takes 10% of the time: 80%.
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/tile.h"

using namespace course;

constexpr int64_t kBlockRows = 96;
static_assert((kBlockRows + 256) * 256 * 4 <= 512 * 1024, "C and a stretch's weights fit a small L2");

class CacheBlocking : public Rung {
 public:
  static constexpr const char* kName = "06_cache_blocking";
  static constexpr Layout kLayout = Layout::kNhwc;

  CacheBlocking(const Problem& p, const float* weights, int) : p_(p), phases_(phases_of(p)) {
    // A tap's weights, (in_c, out_c), as panels: a stretch's.
    packed_.resize(static_cast<std::size_t>(p.weights()));
    for (int tap = 0; tap < p.taps(); ++tap)
      pack_panels(weights + tap * stretch(), p.out_c, p.in_c, p.out_c, &packed_[0] + tap * stretch());
    a_.resize(static_cast<std::size_t>(map_of(p).rows(p.images) * p.taps() * p.in_c));
  }

  void run(const float* input, float* output) {
    const int64_t rows = map_of(p_).rows(p_.images);
    for (const Phase& phase : phases_) {
      im2col(phase, input);
      for (int64_t begin = 0; begin < rows; begin += kBlockRows)
        product(phase, begin, std::min(begin + kBlockRows, rows), output);
    }
  }

 private:
  int64_t stretch() const { return int64_t{1} * p_.in_c * p_.out_c; }

  // A (taps, rows, in_c), zeros for padding.
  void im2col(const Phase& phase, const float* input) {
    const int64_t rows = map_of(p_).rows(p_.images);
    float* to = a_.data();
    for (const Tap& tap : phase.taps)
      for (int64_t row = 0; row < rows; ++row, to += p_.in_c) {
        const float* from = input_of(p_, input, row_of(p_, row), tap.dy, tap.dx);
        if (from != nullptr) std::copy(from, from + p_.in_c, to);
        else std::fill(to, to + p_.in_c, 0.0f);
      }
  }

  void product(const Phase& phase, int64_t begin, int64_t end, float* output) const {
    const int64_t rows = map_of(p_).rows(p_.images);
    float* row_of_c[kBlockRows];
    for (int64_t row = begin; row < end; ++row)
      row_of_c[row - begin] = output + output_of(p_, phase, row_of(p_, row));
    for (std::size_t t = 0; t < phase.taps.size(); ++t) {
      const float* a = a_.data() + static_cast<int64_t>(t) * rows * p_.in_c;
      const float* b = packed_.data() + phase.taps[t].weight * stretch();
      for (int64_t first = begin; first < end; first += kTileRows) {
        const int count = static_cast<int>(std::min<int64_t>(kTileRows, end - first));
        float* c[kTileRows];
        for (int co = 0; co < p_.out_c; co += 2 * kLanes) {
          for (int r = 0; r < count; ++r) c[r] = row_of_c[first - begin + r] + co;
          multiply(count, p_.in_c, a + first * p_.in_c, p_.in_c, b + co * p_.in_c, c, t > 0);
        }
      }
    }
  }

  Problem p_;
  std::vector<Phase> phases_;
  std::vector<float> packed_, a_;
};

int main(int argc, char** argv) { return climb<CacheBlocking>(argc, argv); }
