// Rung 7: all cores.
//
//   g++ -std=c++17 -O3 -march=native -pthread 07_threads.cpp -o rung && ./rung
//
// Changes    the rows of C are shared out: a thread makes its own rows of A and multiplies them with
//            all weights. No sum is shared, so that nothing waits and the bits do not depend on how
//            many threads there are. The threads are made once and wait (common/threads.h): to make
//            one takes some 50 microseconds, the fastest product here less than a millisecond.
// Predicted  as many times as fast as there are cores, less what they share: the L3 cache and the
//            memory that A is written to, and waking a thread (10 microseconds or so). 1.9 of 2.
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/threads.h"
#include "../common/tile.h"

using namespace course;

constexpr int64_t kBlockRows = 96;
static_assert((kBlockRows + 256) * 256 * 4 <= 512 * 1024, "C and a stretch's weights fit a small L2");

class Threaded : public Rung {
 public:
  static constexpr const char* kName = "07_threads";
  static constexpr Layout kLayout = Layout::kNhwc;
  static constexpr bool kThreaded = true;

  Threaded(const Problem& p, const float* weights, int threads)
      : p_(p), phases_(phases_of(p)), threads_(threads) {
    // A tap's weights, (in_c, out_c), as panels: a stretch's.
    packed_.resize(static_cast<std::size_t>(p.weights()));
    for (int tap = 0; tap < p.taps(); ++tap)
      pack_panels(weights + tap * stretch(), p.out_c, p.in_c, p.out_c, &packed_[0] + tap * stretch());
    a_.resize(static_cast<std::size_t>(map_of(p).rows(p.images) * p.taps() * p.in_c));
  }

  void run(const float* input, float* output) {
    const int64_t rows = map_of(p_).rows(p_.images);
    threads_.run([&](int thread) {
      const int64_t first = rows * thread / threads_.count();
      const int64_t last = rows * (thread + 1) / threads_.count();
      for (const Phase& phase : phases_) {
        im2col(phase, first, last, input);
        for (int64_t begin = first; begin < last; begin += kBlockRows)
          product(phase, begin, std::min(begin + kBlockRows, last), output);
      }
    });
  }

 private:
  int64_t stretch() const { return int64_t{1} * p_.in_c * p_.out_c; }

  // A (taps, rows, in_c), zeros for padding: the rows of one thread.
  void im2col(const Phase& phase, int64_t first, int64_t last, const float* input) {
    const int64_t rows = map_of(p_).rows(p_.images);
    for (std::size_t t = 0; t < phase.taps.size(); ++t)
      for (int64_t row = first; row < last; ++row) {
        float* to = a_.data() + (static_cast<int64_t>(t) * rows + row) * p_.in_c;
        const Tap& tap = phase.taps[t];
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
  Threads threads_;
};

int main(int argc, char** argv) { return climb<Threaded>(argc, argv); }
