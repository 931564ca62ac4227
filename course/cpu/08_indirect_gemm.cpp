// Rung 8: no matrix A. The indirect GEMM, as facegen computes all its convolutions.
//
//   g++ -std=c++17 -O3 -march=native -pthread 08_indirect_gemm.cpp -o rung && ./rung
//
// Changes    a row of A is an address: where in the input its channels lie. For each stretch
//
//              find_rows   lists the rows whose tap falls inside the input, and those addresses;
//                          padding is no row, and is not multiplied
//              gather      copies one tile of rows to a panel of 6 KiB, which stays in L1
//              multiply    multiplies it with the panels of every phase that reads the same pixels:
//                          an input pixel of tconv2 is gathered 9 times, not 25 times
//
//            and the sums of all phases stand side by side in a block of C, which stays in L2 until
//            finish writes it out. csrc/cpu/indirect_gemm.cpp has the same names.
// Predicted  im2col took 12% of the time, and 6% of conv3x3's multiply-adds were by zeros, 14% of
//            tconv2's: 1.2 and 1.3 times as fast as rung 7.
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/threads.h"
#include "../common/tile.h"

using namespace course;

constexpr int64_t kBlockRows = 96;   // of a block of C, at most
constexpr int kMaxDepth = 256;       // of a stretch, at most: one tap's channels

class IndirectGemm : public Rung {
 public:
  static constexpr const char* kName = "08_indirect_gemm";
  static constexpr Layout kLayout = Layout::kNhwc;
  static constexpr bool kThreaded = true;

  IndirectGemm(const Problem& p, const float* weights, int threads)
      : p_(p), phases_(phases_of(p)), threads_(threads) {
    for (std::size_t i = 0; i < phases_.size(); ++i)
      for (const Tap& tap : phases_[i].taps) add_use(static_cast<int>(i), tap, weights);
  }

  void run(const float* input, float* output) {
    const int64_t rows = map_of(p_).rows(p_.images);
    threads_.run([&](int thread) {
      const int64_t first = rows * thread / threads_.count();
      const int64_t last = rows * (thread + 1) / threads_.count();
      const int64_t blocks = (last - first + kBlockRows - 1) / kBlockRows;
      for (int64_t i = 0; i < blocks; ++i)
        run_task(first + (last - first) * i / blocks, first + (last - first) * (i + 1) / blocks,
                 input, output);
    });
  }

 private:
  // A phase that reads a stretch's pixels, with its weights for them.
  struct Use {
    int phase;
    std::vector<float> panels;
  };
  // One distance from a row to the pixel that it reads.
  struct Stretch {
    int dy, dx;
    std::vector<Use> uses;
  };
  // The rows of a block that read inside the input.
  struct Rows {
    int count;
    const float* sources[kBlockRows];
    float* c[kBlockRows];
  };

  int columns() const { return static_cast<int>(phases_.size()) * p_.out_c; }

  void add_use(int phase, const Tap& tap, const float* weights) {
    auto at = std::find_if(stretches_.begin(), stretches_.end(), [&](const Stretch& s) {
      return s.dy == tap.dy && s.dx == tap.dx;
    });
    if (at == stretches_.end()) at = stretches_.insert(at, {tap.dy, tap.dx, {}});
    std::vector<float> panels(static_cast<std::size_t>(p_.in_c) * static_cast<std::size_t>(p_.out_c));
    pack_panels(weights + int64_t{tap.weight} * p_.in_c * p_.out_c, p_.out_c, p_.in_c, p_.out_c,
                panels.data());
    at->uses.push_back({phase, std::move(panels)});
  }

  // A block of C: rows begin .. end - 1, all columns.
  void run_task(int64_t begin, int64_t end, const float* input, float* output) const {
    static thread_local std::vector<float> c;
    c.assign(static_cast<std::size_t>((end - begin) * columns()), 0.0f);
    for (const Stretch& stretch : stretches_) {
      const Rows rows = find_rows(begin, end, stretch, input, c.data());
      for (int first = 0; first < rows.count; first += kTileRows) {
        const int count = std::min(kTileRows, rows.count - first);
        alignas(64) float panel[kTileRows * kMaxDepth];
        gather(rows.sources + first, count, panel);
        multiply_uses(stretch, rows.c + first, count, panel);
      }
    }
    finish(begin, end, c.data(), output);
  }

  Rows find_rows(int64_t begin, int64_t end, const Stretch& stretch, const float* input,
                 float* c) const {
    Rows rows;
    rows.count = 0;
    for (int64_t row = begin; row < end; ++row, c += columns()) {
      const float* from = input_of(p_, input, row_of(p_, row), stretch.dy, stretch.dx);
      if (from == nullptr) continue;
      rows.sources[rows.count] = from;
      rows.c[rows.count++] = c;
    }
    return rows;
  }

  void gather(const float* const* sources, int rows, float* panel) const {
    for (int r = 0; r < rows; ++r)
      for (int k = 0; k < p_.in_c; k += kLanes)
        store(panel + r * kMaxDepth + k, load(sources[r] + k));
  }

  void multiply_uses(const Stretch& stretch, float* const* rows, int count, const float* panel) const {
    for (const Use& use : stretch.uses) {
      const float* b = use.panels.data();
      for (int co = 0; co < p_.out_c; co += 2 * kLanes, b += 2 * kLanes * p_.in_c) {
        float* c[kTileRows];
        for (int r = 0; r < count; ++r) c[r] = rows[r] + use.phase * p_.out_c + co;
        multiply(count, p_.in_c, panel, kMaxDepth, b, c, true);
      }
    }
  }

  // Where facegen adds the bias and applies the activation, before the sums are written.
  void finish(int64_t begin, int64_t end, const float* c, float* output) const {
    for (int64_t row = begin; row < end; ++row)
      for (const Phase& phase : phases_) {
        std::copy(c, c + p_.out_c, output + output_of(p_, phase, row_of(p_, row)));
        c += p_.out_c;
      }
  }

  Problem p_;
  std::vector<Phase> phases_;
  std::vector<Stretch> stretches_;
  Threads threads_;
};

int main(int argc, char** argv) { return climb<IndirectGemm>(argc, argv); }
