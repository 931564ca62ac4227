// Rung 9: fewer products. Winograd's convolution.
//
//   g++ -std=c++17 -O3 -march=native -pthread 09_winograd.cpp -o rung && ./rung
//
// Changes    the products themselves. m neighbouring outputs of a filter of 3 taps are m coefficients
//            of a product of polynomials, which is known from its values at n = m + 2 points: n
//            products instead of 3 m (Winograd 1980; Lavin and Gray 2016). On both axes:
//
//              V = B d    inputs  (n x n pixels)  -> n * n points, each a map of its own
//              U = G g    weights (3 x 3 taps)    -> n * n points, once
//              M[point] (tiles; columns) = V[point] (tiles; in_c) * U[point] (in_c; columns)
//              y = A M    n * n points            -> m x m outputs
//
//            conv3x3 takes m = 4: 36 products for 144. tconv2 has four phases of at most 3x3 taps, all
//            columns of the same V; m = 2: 64 products where the definition has 100.
// Predicted  conv3x3: a quarter of the products, but U is 36 * 256 KiB = 9.4 MB, which comes from L3 or
//            memory, and V and M are written and read: 2.5 times as fast as rung 8. tconv2: 1.35 times
//            fewer products, 8.4 MB of U instead of 3.3 MB of weights, for 16 rows: as fast as rung 8.
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/threads.h"
#include "../common/tile.h"

using namespace course;

constexpr int kMostPoints = 6;  // on an axis
constexpr int kMostPlane = kMostPoints * kMostPoints;

// For m outputs of 3 taps. The points are facegen's (csrc/winograd_transform.h): 0, some pairs
// +-p, and infinity, which stands for the leading coefficient.
struct Transform {
  int m, n;
  float b[kMostPoints][kMostPoints] = {}, g[kMostPoints][3] = {}, a[kMostPoints][kMostPoints] = {};

  explicit Transform(int outputs) : m(outputs), n(outputs + 2) {
    const double four[] = {0, 0.625, -0.625, 1.5, -1.5}, two[] = {0, 1, -1};
    const double* p = m == 4 ? four : two;
    for (int i = 0; i < n; ++i) {
      const bool infinity = i == n - 1;
      // The polynomial that vanishes at all other points, and its value at this one.
      double coefficients[kMostPoints] = {1}, value = 1;
      for (int other = 0; other < n - 1; ++other) {
        if (other == i) continue;
        for (int k = n - 1; k > 0; --k)
          coefficients[k] = coefficients[k - 1] - p[other] * coefficients[k];
        coefficients[0] *= -p[other];
        if (!infinity) value *= p[i] - p[other];
      }
      for (int k = 0; k < n; ++k) b[i][k] = static_cast<float>(coefficients[k]);
      double power = 1;
      for (int j = 0; j < n; ++j, power *= infinity ? 1 : p[i]) {
        if (j < 3) g[i][j] = static_cast<float>(infinity ? j == 2 : power / value);
        if (j < m) a[j][i] = static_cast<float>(infinity ? j == m - 1 : power);
      }
    }
  }
};

class Winograd : public Rung {
 public:
  static constexpr const char* kName = "09_winograd";
  static constexpr Layout kLayout = Layout::kNhwc;
  static constexpr bool kThreaded = true;
  // Rounding errors, root mean square, grow 4.8 times (m = 4, both axes), and some more by chance.
  static constexpr Arithmetic kArithmetic = {0, 6};

  Winograd(const Problem& p, const float* weights, int threads)
      : p_(p), phases_(phases_of(p)), threads_(threads), t_(p.transposed ? 2 : 4) {
    columns_ = static_cast<int>(phases_.size()) * p.out_c;
    tiles_y_ = (p.in_h + t_.m - 1) / t_.m;
    tiles_x_ = (p.in_w + t_.m - 1) / t_.m;
    const int64_t points = t_.n * t_.n;
    u_.resize(static_cast<std::size_t>(points * p.in_c * columns_));
    v_.resize(static_cast<std::size_t>(points * tiles() * p.in_c));
    m_.resize(static_cast<std::size_t>(points * tiles() * columns_));
    std::vector<float> u(static_cast<std::size_t>(p.in_c * columns_));
    for (int point = 0; point < points; ++point) {
      transform_weights(point / t_.n, point % t_.n, weights, u.data());
      pack_panels(u.data(), columns_, p.in_c, columns_, &u_[0] + int64_t{point} * p.in_c * columns_);
    }
  }

  void run(const float* input, float* output) {
    each(tiles(), [&](int64_t tile) { transform_input(tile, input); });
    each(int64_t{t_.n} * t_.n * (columns_ / (2 * kLanes)), [&](int64_t i) { product(i); });
    each(tiles(), [&](int64_t tile) { transform_output(tile, output); });
  }

 private:
  int64_t tiles() const { return int64_t{p_.images} * tiles_y_ * tiles_x_; }
  RowOf first_pixel(int64_t tile) const {
    return {static_cast<int>(tile / (tiles_y_ * tiles_x_)),
            static_cast<int>(tile / tiles_x_ % tiles_y_) * t_.m,
            static_cast<int>(tile % tiles_x_) * t_.m};
  }
  template <class F>
  void each(int64_t count, F f) {  // neighbours on the same thread
    threads_.run([&](int thread) {
      const int64_t end = count * (thread + 1) / threads_.count();
      for (int64_t i = count * thread / threads_.count(); i < end; ++i) f(i);
    });
  }

  // u (in_c, columns) = the sum over the taps of each phase, at distances of -1 to 1
  void transform_weights(int py, int px, const float* weights, float* u) const {
    for (const Phase& phase : phases_)
      for (int ci = 0; ci < p_.in_c; ++ci)
        for (int co = 0; co < p_.out_c; ++co) {
          float sum = 0;
          for (const Tap& tap : phase.taps)
            sum += t_.g[py][tap.dy + 1] * t_.g[px][tap.dx + 1] *
                   weights[(int64_t{tap.weight} * p_.in_c + ci) * p_.out_c + co];
          u[int64_t{ci} * columns_ + (&phase - phases_.data()) * p_.out_c + co] = sum;
        }
  }

  // to[i] = the sum over k of matrix[i][k] * from[k], for vectors that lie so many floats apart
  template <class Matrix>
  static void combine(const Matrix& matrix, int rows, int terms, const Vec* from, int step,
                      Vec* to) {
    for (int i = 0; i < rows; ++i) {
      Vec sum = {};
      for (int k = 0; k < terms; ++k) sum += broadcast(matrix[i][k]) * from[k * step];
      to[i * step] = sum;
    }
  }

  void transform_input(int64_t tile, const float* input) {
    const RowOf first = first_pixel(tile);
    const int n = t_.n;
    const float* pixels[kMostPlane];
    for (int i = 0; i < n * n; ++i) pixels[i] = input_of(p_, input, first, i / n - 1, i % n - 1);
    for (int ci = 0; ci < p_.in_c; ci += kLanes) {
      Vec d[kMostPlane], half[kMostPlane], v[kMostPlane];
      for (int i = 0; i < n * n; ++i) d[i] = pixels[i] == nullptr ? Vec{} : load(pixels[i] + ci);
      for (int x = 0; x < n; ++x) combine(t_.b, n, n, d + x, n, half + x);
      for (int y = 0; y < n; ++y) combine(t_.b, n, n, half + y * n, 1, v + y * n);
      for (int i = 0; i < n * n; ++i) store(&v_[0] + (i * tiles() + tile) * p_.in_c + ci, v[i]);
    }
  }

  // Two panels of columns of one point, all tiles.
  void product(int64_t i) {
    const int64_t pairs = columns_ / (2 * kLanes), point = i / pairs, column = i % pairs * 2 * kLanes;
    const float* b = u_.data() + (point * columns_ + column) * p_.in_c;
    for (int64_t first = 0; first < tiles(); first += kTileRows) {
      const int count = static_cast<int>(std::min<int64_t>(kTileRows, tiles() - first));
      float* c[kTileRows];
      for (int r = 0; r < count; ++r)
        c[r] = m_.data() + (point * tiles() + first + r) * columns_ + column;
      multiply(count, p_.in_c, v_.data() + (point * tiles() + first) * p_.in_c, p_.in_c, b, c, false);
    }
  }

  void transform_output(int64_t tile, float* output) const {
    const RowOf first = first_pixel(tile);
    const int n = t_.n, m = t_.m;
    for (const Phase& phase : phases_)
      for (int co = 0; co < p_.out_c; co += kLanes) {
        const int64_t column = (&phase - phases_.data()) * p_.out_c + co;
        Vec s[kMostPlane], half[kMostPlane], y[kMostPlane];
        for (int i = 0; i < n * n; ++i) s[i] = load(&m_[0] + (i * tiles() + tile) * columns_ + column);
        for (int x = 0; x < n; ++x) combine(t_.a, m, n, s + x, n, half + x);
        for (int i = 0; i < m; ++i) combine(t_.a, m, n, half + i * n, 1, y + i * n);
        for (int i = 0; i < m * m; ++i) {
          const RowOf row = {first.image, first.y + i / m, first.x + i % m};
          if (row.y < p_.in_h && row.x < p_.in_w)
            store(output + output_of(p_, phase, row) + co, y[i / m * n + i % m]);
        }
      }
  }

  Problem p_;
  std::vector<Phase> phases_;
  Threads threads_;
  Transform t_;
  int columns_, tiles_y_, tiles_x_;
  std::vector<float> u_, v_, m_;
};

int main(int argc, char** argv) { return climb<Winograd>(argc, argv); }
