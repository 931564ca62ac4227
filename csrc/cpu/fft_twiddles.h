// The roots of unity of the FFT, made by the compiler: exp(-2 pi i k / N), rounded once to float.
#pragma once

namespace facegen::cpu {

// minus_im is there because a product of complex numbers adds one of its terms with a minus.
struct Twiddle {
  float re, im, minus_im;
};

namespace twiddles {

constexpr double kPi = 3.14159265358979323846;

// Taylor's series; for 0 <= x <= pi / 4 the 9 terms are exact to the last digit of a double.
constexpr double cosine(double x) {
  double sum = 1, term = 1;
  for (int i = 1; i <= 9; ++i) sum += term *= -x * x / ((2 * i - 1) * (2 * i));
  return sum;
}
constexpr double sine(double x) {
  double sum = x, term = x;
  for (int i = 1; i <= 9; ++i) sum += term *= -x * x / (2 * i * (2 * i + 1));
  return sum;
}

// cos(2 pi k / n) for 0 <= k <= n / 2, n a multiple of 8.
constexpr double cosine_of_turn(int k, int n) {
  if (k > n / 4) return -cosine_of_turn(n / 2 - k, n);
  return k <= n / 8 ? cosine(2 * kPi * k / n) : sine(2 * kPi * (n / 4 - k) / n);
}

}  // namespace twiddles

// exp(-2 pi i k / n) for any k >= 0.
constexpr Twiddle twiddle(int k, int n) {
  k %= n;
  const bool second_half = k > n / 2;
  const int folded = second_half ? n - k : k;  // the angle, or its mirror image
  const double re = twiddles::cosine_of_turn(folded, n);
  const int quarter = folded <= n / 4 ? n / 4 - folded : folded - n / 4;  // sin x = cos(pi/2 - x)
  const double im = (second_half ? 1 : -1) * twiddles::cosine_of_turn(quarter, n);
  return {static_cast<float>(re), static_cast<float>(im), static_cast<float>(-im)};
}

// The factors between the two passes of an FFT of N1 * N2 points: [k1][n2] = exp(-2 pi i k1 n2 / N).
template <int N1, int N2>
struct TwiddleTable {
  Twiddle at[N1][N2] = {};
  constexpr TwiddleTable() {
    for (int k1 = 0; k1 < N1; ++k1) {
      for (int n2 = 0; n2 < N2; ++n2) at[k1][n2] = twiddle(k1 * n2, N1 * N2);
    }
  }
};

}  // namespace facegen::cpu
