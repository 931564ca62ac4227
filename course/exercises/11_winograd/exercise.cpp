// Exercise 11: Winograd's F(2x2, 3x3): 16 products where the definition has 36.
//
// A tile of 4x4 inputs d and a 3x3 kernel g make 2x2 outputs:
//   Y = A^T [ (G g G^T) .* (B^T d B) ] A
//   B^T = | 1  0 -1  0 |    G = | 1    0    0  |    A^T = | 1  1  1  0 |
//         | 0  1  1  0 |        | 1/2  1/2 1/2 |          | 0  1 -1 -1 |
//         | 0 -1  1  0 |        | 1/2 -1/2 1/2 |
//         | 0  1  0 -1 |        | 0    0    1  |
#include "../common/phases.h"
#include "../common/rung.h"
#include "../common/tile.h"

using namespace course;

// out (4) = B^T in (4), and out (2) = A^T in (4): once along y, once along x makes the 2-D transforms.
// YOUR CODE: B^T in the first, A^T in the second.
inline void input_transform(const Vec in[4], Vec out[4]) {
  out[0] = out[1] = out[2] = out[3] = in[0];
}

inline void output_transform(const Vec in[4], Vec out[2]) {
  out[0] = out[1] = in[0];
}
// END

class Own : public Rung {
 public:
  static constexpr const char* kName = "11_winograd";
  static constexpr Layout kLayout = Layout::kNhwc;
  static constexpr Arithmetic kArithmetic = {0, 8};  // transforms add and subtract before the product

  Own(const Problem& p, const float* weights, int) : p_(p), weights_(weights) {
    if (p.transposed) return;
    const float G[4][3] = {{1, 0, 0}, {.5f, .5f, .5f}, {.5f, -.5f, .5f}, {0, 0, 1}};
    const int64_t size = int64_t{1} * p.in_c * p.out_c;
    std::vector<float> u(size);
    u_.resize(16 * size);
    for (int i = 0; i < 16; ++i) {
      std::fill(u.begin(), u.end(), 0.0f);
      for (int tap = 0; tap < 9; ++tap) {
        const float factor = G[i / 4][tap / 3] * G[i % 4][tap % 3];
        for (int64_t j = 0; j < size; ++j) u[j] += factor * weights[tap * size + j];
      }
      pack_panels(u.data(), p.out_c, p.in_c, p.out_c, &u_[i * size]);
    }
  }

  void run(const float* input, float* output) {
    if (p_.transposed) return define(input, output);
    const int tiles_y = (p_.out_h + 1) / 2, tiles_x = (p_.out_w + 1) / 2;
    const int tiles = p_.images * tiles_y * tiles_x;
    v_.resize(16 * int64_t{tiles} * p_.in_c);
    m_.resize(16 * int64_t{tiles} * p_.out_c);
    for (int t = 0; t < tiles; ++t) {
      const int image = t / (tiles_y * tiles_x);
      to_v(input, image, t / tiles_x % tiles_y * 2 - p_.pad, t % tiles_x * 2 - p_.pad, t, tiles);
    }
    for (int i = 0; i < 16; ++i) product(i, tiles);
    for (int t = 0; t < tiles; ++t) {
      const int image = t / (tiles_y * tiles_x);
      from_m(output, image, t / tiles_x % tiles_y * 2, t % tiles_x * 2, t, tiles);
    }
  }

 private:
  // V (16, tiles, in_c): B^T d B of tile t, whose inputs begin at (y, x).
  void to_v(const float* input, int image, int y, int x, int t, int tiles) {
    for (int c = 0; c < p_.in_c; c += kLanes) {
      Vec d[4][4], half[4][4], v[4];
      for (int i = 0; i < 4; ++i)
        for (int j = 0; j < 4; ++j) {
          const bool inside = y + i >= 0 && y + i < p_.in_h && x + j >= 0 && x + j < p_.in_w;
          const int64_t at = ((int64_t{image} * p_.in_h + y + i) * p_.in_w + x + j) * p_.in_c + c;
          d[j][i] = inside ? load(input + at) : Vec{};
        }
      for (int j = 0; j < 4; ++j) input_transform(d[j], half[j]);  // along y
      for (int i = 0; i < 4; ++i) {
        const Vec row[4] = {half[0][i], half[1][i], half[2][i], half[3][i]};
        input_transform(row, v);  // along x
        for (int j = 0; j < 4; ++j) store(&v_[(int64_t{i * 4 + j} * tiles + t) * p_.in_c + c], v[j]);
      }
    }
  }

  // M[i] (tiles, out_c) = V[i] (tiles, in_c) * U[i] (in_c, out_c)
  void product(int i, int tiles) {
    const float* a = &v_[int64_t{i} * tiles * p_.in_c];
    const float* panels = &u_[int64_t{i} * p_.in_c * p_.out_c];
    for (int co = 0; co < p_.out_c; co += 2 * kLanes, panels += 2 * kLanes * p_.in_c)
      for (int first = 0; first < tiles; first += kTileRows) {
        const int count = std::min(kTileRows, tiles - first);
        float* c[kTileRows];
        for (int r = 0; r < count; ++r) c[r] = &m_[(int64_t{i} * tiles + first + r) * p_.out_c + co];
        multiply(count, p_.in_c, a + int64_t{first} * p_.in_c, p_.in_c, panels, c, false);
      }
  }

  // Y = A^T M A of tile t, whose outputs begin at (y, x).
  void from_m(float* output, int image, int y, int x, int t, int tiles) const {
    for (int c = 0; c < p_.out_c; c += kLanes) {
      Vec m[4], half[2][4], out[2];
      for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 4; ++i) {
          m[i] = load(&m_[(int64_t{i * 4 + j} * tiles + t) * p_.out_c + c]);
        }
        Vec two[2];
        output_transform(m, two);  // along y
        half[0][j] = two[0], half[1][j] = two[1];
      }
      for (int i = 0; i < 2 && y + i < p_.out_h; ++i) {
        output_transform(half[i], out);  // along x
        for (int j = 0; j < 2 && x + j < p_.out_w; ++j) {
          const int64_t pixel = (int64_t{image} * p_.out_h + y + i) * p_.out_w + x + j;
          store(output + pixel * p_.out_c + c, out[j]);
        }
      }
    }
  }

  // Winograd's is for strides of 1: the transposed convolution is computed by its definition.
  void define(const float* input, float* output) const {
    std::fill(output, output + p_.outputs(), 0.0f);
    for (int64_t pixel = 0; pixel < p_.outputs() / p_.out_c; ++pixel)
      for (int tap = 0; tap < p_.taps(); ++tap) {
        const int iy = p_.source_y(static_cast<int>(pixel / p_.out_w % p_.out_h), tap / p_.kernel);
        const int ix = p_.source_x(static_cast<int>(pixel % p_.out_w), tap % p_.kernel);
        if (iy < 0 || ix < 0) continue;
        const int64_t image = pixel / p_.out_w / p_.out_h;
        const float* in = input + ((image * p_.in_h + iy) * p_.in_w + ix) * p_.in_c;
        const float* w = weights_ + int64_t{tap} * p_.in_c * p_.out_c;
        for (int ci = 0; ci < p_.in_c; ++ci, w += p_.out_c)
          for (int co = 0; co < p_.out_c; ++co) output[pixel * p_.out_c + co] += in[ci] * w[co];
      }
  }

  Problem p_;
  const float* weights_;
  std::vector<float> u_, v_, m_;
};

int main(int argc, char** argv) { return climb<Own>(argc, argv); }
