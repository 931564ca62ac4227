// Exercise 9: all cores.
#include <thread>

#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/tile.h"

using namespace course;

class Own : public Rung {
 public:
  static constexpr const char* kName = "09_threads";
  static constexpr Layout kLayout = Layout::kNhwc;
  static constexpr bool kThreaded = true;

  Own(const Problem& p, const float* weights, int threads)
      : p_(p), threads_(threads), phases_(phases_of(p)) {
    for (const Phase& phase : phases_) {
      packed_.emplace_back(depth_of(phase) * p.out_c);
      std::vector<float> below;
      for (const Tap& tap : phase.taps) {
        const float* from = weights + int64_t{tap.weight} * p.in_c * p.out_c;
        below.insert(below.end(), from, from + int64_t{1} * p.in_c * p.out_c);
      }
      pack_panels(below.data(), p.out_c, static_cast<int>(depth_of(phase)), p.out_c,
                  packed_.back().data());
    }
  }

  void run(const float* input, float* output) {
    // The work: for each phase i, rows first ... last - 1 of it by compute(i, first, last, ...).
    const int64_t rows = map_of(p_).rows(p_.images);
    // YOUR CODE: threads_ threads, each with a share of the rows; tiles have kTileRows of them.
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    std::vector<std::thread> threads;
    for (int t = 0; t < threads_; ++t) {
      const int64_t first = tiles * t / threads_ * kTileRows;
      const int64_t last = std::min(rows, tiles * (t + 1) / threads_ * kTileRows);
      threads.emplace_back([=] {
        for (std::size_t i = 0; i < phases_.size(); ++i) compute(i, first, last, input, output);
      });
    }
    for (std::thread& thread : threads) thread.join();
    // END
  }

 private:
  int64_t depth_of(const Phase& phase) const { return int64_t(phase.taps.size()) * p_.in_c; }

  // Rows first ... last - 1 of a phase, a tile of rows at a time: copied, and multiplied with all
  // weights. Calls for different rows write different outputs.
  void compute(std::size_t i, int64_t first, int64_t last, const float* input, float* output) const {
    const Phase& phase = phases_[i];
    const int64_t depth = depth_of(phase);
    std::vector<float> a(kTileRows * depth);
    for (; first < last; first += kTileRows) {
      const int count = static_cast<int>(std::min<int64_t>(kTileRows, last - first));
      float* c[kTileRows];
      for (int r = 0; r < count; ++r) {
        const RowOf row = row_of(p_, first + r);
        c[r] = output + output_of(p_, phase, row);
        float* to = &a[r * depth];
        for (const Tap& tap : phase.taps) {
          const float* from = input_of(p_, input, row, tap.dy, tap.dx);
          if (from != nullptr) std::copy(from, from + p_.in_c, to);
          else std::fill(to, to + p_.in_c, 0.0f);
          to += p_.in_c;
        }
      }
      const float* panels = packed_[i].data();
      for (int co = 0; co < p_.out_c; co += 2 * kLanes, panels += 2 * kLanes * depth) {
        multiply(count, static_cast<int>(depth), a.data(), depth, panels, c, false);
        for (int r = 0; r < count; ++r) c[r] += 2 * kLanes;
      }
    }
  }

  Problem p_;
  int threads_;
  std::vector<Phase> phases_;
  std::vector<std::vector<float>> packed_;  // for each phase
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
