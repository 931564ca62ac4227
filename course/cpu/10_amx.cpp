// Rung 10: a unit for matrix products. AMX, on bfloat16.
//
//   g++ -std=c++17 -O3 -march=native -pthread 10_amx.cpp -o rung && ./rung
//
// Changes    the instruction. Intel's processors since 2023 have 8 tile registers of 16 rows of 64
//            bytes. One instruction multiplies two tiles:
//
//              sums (16 x 16 float)  +=  a (16 rows x 32 channels)  *  b (32 channels x 16 columns)
//
//            8,192 multiply-adds in 16 cycles, where two AVX-512 units do 512. The numbers are
//            bfloat16, rounded to 8 significant bits; the sums are float32. A tile of b holds pairs:
//            row k has channels 2 k and 2 k + 1 of its 16 columns side by side. The rest is rung 8:
//            gather rounds, 2 x 2 tiles of sums stay in registers for a stretch.
// Predicted  16 times the peak of rung 8's instructions, and for each 4 products of 16 cycles 4 tiles
//            of 8 cycles are loaded beside them. But C is loaded and stored once a stretch of 8 steps,
//            4 tiles of 16 lines each way for 32 products: 50% of this peak, 8 times rung 8's.
//            For float32 facegen makes 8-bit digits of its numbers and takes 6 products of them.
#include "../common/amx_unit.h"
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/threads.h"

using namespace course;

constexpr int64_t kBlockRows = 96;
constexpr int kMaxDepth = 256;
constexpr int kStep = 32;        // channels of one product
constexpr int kRowTile = 2 * kTile;
constexpr int kTileNumbers = kTile * kStep;  // bfloat16 numbers of a tile

class Amx : public Rung {
 public:
  static constexpr const char* kName = "10_amx";
  static constexpr Layout kLayout = Layout::kNhwc;
  static constexpr bool kThreaded = true;
  static constexpr Arithmetic kArithmetic = {0x1p-7 + 0x1p-16, 1};  // both factors: 2^-8 of each
  static constexpr bool kEmulates = !kAmx;
  static const char* missing() { return amx_missing(); }
  static double ceiling_gflops(int threads) { return kAmx ? amx_peak_gflops() * threads : 0; }

  Amx(const Problem& p, const float* weights, int threads)
      : p_(p), phases_(phases_of(p)), threads_(threads) {
    for (std::size_t i = 0; i < phases_.size(); ++i)
      for (const Tap& tap : phases_[i].taps)
        uses_.push_back({static_cast<int>(i), tap.dy, tap.dx, pack(weights, tap)});
  }

  void run(const float* input, float* output) {
    const int64_t rows = map_of(p_).rows(p_.images);
    threads_.run([&](int thread) {
      const int64_t first = rows * thread / threads_.count();
      const int64_t last = rows * (thread + 1) / threads_.count();
      begin_task();
      for (int64_t begin = first; begin < last; begin += kBlockRows)
        run_task(begin, std::min(begin + kBlockRows, last), input, output);
      end_task();
    });
  }

 private:
  struct Use {  // a phase's tap: its distance and its weights
    int phase, dy, dx;
    std::vector<uint16_t> panels;
  };

  int columns() const { return static_cast<int>(phases_.size()) * p_.out_c; }
  int steps() const { return p_.in_c / kStep; }

  // Tiles (out_c / 16; in_c / 32), each (channel pair, column, channel of the pair).
  std::vector<uint16_t> pack(const float* weights, const Tap& tap) const {
    std::vector<uint16_t> panels;
    const float* w = weights + int64_t{tap.weight} * p_.in_c * p_.out_c;
    for (int first = 0; first < p_.out_c; first += kTile)
      for (int pair = 0; pair < p_.in_c / 2; ++pair)
        for (int i = 0; i < 2 * kTile; ++i)
          panels.push_back(to_bfloat16(w[(2 * pair + i % 2) * p_.out_c + first + i / 2]));
    return panels;
  }

  void run_task(int64_t begin, int64_t end, const float* input, float* output) const {
    static thread_local std::vector<float> c;
    c.assign(static_cast<std::size_t>((end - begin + kRowTile) * columns()), 0.0f);
    for (const Use& use : uses_) {
      // C's tiles are 16 whole rows: a row whose tap is on padding takes part, as zeros.
      for (int64_t row = begin; row < end; row += kRowTile) {
        alignas(64) uint16_t panel[kRowTile * kMaxDepth];
        for (int r = 0; r < kRowTile; ++r) gather(row + r, end, use, input, r, panel);
        multiply(use, panel, c.data() + (row - begin) * columns() + use.phase * p_.out_c);
      }
    }
    const float* from = c.data();
    for (int64_t row = begin; row < end; ++row)
      for (const Phase& phase : phases_) {
        std::copy(from, from + p_.out_c, output + output_of(p_, phase, row_of(p_, row)));
        from += p_.out_c;
      }
  }

  // Row r of the panel: tiles (2 of rows; steps), each (row, 32 channels).
  void gather(int64_t row, int64_t end, const Use& use, const float* input, int r,
              uint16_t* panel) const {
    const float* from =
        row < end ? input_of(p_, input, row_of(p_, row), use.dy, use.dx) : nullptr;
    for (int s = 0; s < steps(); ++s) {
      uint16_t* to = panel + ((r / kTile) * steps() + s) * kTileNumbers + r % kTile * kStep;
      for (int k = 0; k < kStep; ++k) to[k] = from == nullptr ? 0 : to_bfloat16(from[s * kStep + k]);
    }
  }

  // c (32 rows, out_c) += panel * weights. Tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 weights.
  void multiply(const Use& use, const uint16_t* panel, float* c) const {
    const int64_t c_bytes = int64_t{4} * columns();
    const uint16_t* lower = panel + steps() * kTileNumbers;
    const uint16_t* b = use.panels.data();
    end_writes();
    for (int co = 0; co < p_.out_c; co += 2 * kTile, b += 2 * steps() * kTileNumbers) {
      float* below = c + int64_t{kTile} * columns();
      _tile_loadd(0, c + co, c_bytes);
      _tile_loadd(1, c + co + kTile, c_bytes);
      _tile_loadd(2, below + co, c_bytes);
      _tile_loadd(3, below + co + kTile, c_bytes);
      for (int s = 0; s < steps(); ++s) {
        _tile_loadd(4, panel + s * kTileNumbers, 64);
        _tile_loadd(5, lower + s * kTileNumbers, 64);
        _tile_loadd(6, b + s * kTileNumbers, 64);
        _tile_loadd(7, b + (steps() + s) * kTileNumbers, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, c + co, c_bytes);
      _tile_stored(1, c + co + kTile, c_bytes);
      _tile_stored(2, below + co, c_bytes);
      _tile_stored(3, below + co + kTile, c_bytes);
    }
  }

  Problem p_;
  std::vector<Phase> phases_;
  std::vector<Use> uses_;
  Threads threads_;
};

int main(int argc, char** argv) { return climb<Amx>(argc, argv); }
