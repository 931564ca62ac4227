// The Fourier transforms of tiles of a map; cpu/fft.h says what for.
//
// Channels are in lanes, so that every operation of the transform is one of whole vectors, and no
// number ever moves between lanes. An FFT of N = N1 * N2 points (Cooley & Tukey 1965) is two passes
// of small ones:
//
//   n = N2 n1 + n2,  k = k1 + N1 k2:   X[k] = sum over n2 of  w8[n2 k2] W_N[n2 k1] (sum over n1 of ...)
//
//     points 16 = 4 x 4, 32 = 4 x 8, 64 = 8 x 8: the small ones fit the registers (8 complex points
//     are 16 of them), and what is between the passes stays in L1.
//
// Maps are real. Two of their rows are one complex row, whose transform is taken apart by symmetry:
// if z = a + i b, then  A[k] = (Z[k] + conj Z[N - k]) / 2,  B[k] = (Z[k] - conj Z[N - k]) / 2i. What
// comes out is A and B without the halves: fft.h takes the factor back with the weights, exactly.
//
// Of a tile of T x T numbers T * T / 2 + 2 frequencies (ky, kx) are kept, the others are their
// conjugates. In this order: kx = 0 and ky = 0 .. T / 2; kx = T / 2 and the same ky; then
// kx = 1 .. T / 2 - 1, each with ky = 0 .. T - 1.
#pragma once

#include "cpu/fft_twiddles.h"
#include "cpu/kernels.h"
#include "isa/vec.h"

namespace {

using facegen::cpu::FftForward;
using facegen::cpu::FftInverse;
using facegen::cpu::TwiddleTable;

struct Complex {
  Vec re, im;
};
inline Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
inline Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
inline Complex minus_i_times(Complex a) { return {a.im, -a.re}; }
inline Complex times(Complex a, const facegen::cpu::Twiddle& w) {
  return {multiply_add(w.minus_im, a.im, w.re * a.re), multiply_add(w.im, a.re, w.re * a.im)};
}

// Forward transforms in place.
inline void small_fft(Complex (&x)[4]) {
  const Complex a = x[0] + x[2], b = x[0] - x[2];
  const Complex c = x[1] + x[3], d = minus_i_times(x[1] - x[3]);
  x[0] = a + c;
  x[1] = b + d;
  x[2] = a - c;
  x[3] = b - d;
}
inline void small_fft(Complex (&x)[8]) {
  Complex even[4] = {x[0], x[2], x[4], x[6]}, odd[4] = {x[1], x[3], x[5], x[7]};
  small_fft(even);
  small_fft(odd);
  constexpr float kHalfRoot = 0.70710678118654752440f;
  // exp(-pi i / 4) and exp(-3 pi i / 4) are (1 - i) and (-1 - i) over the root of 2.
  const Complex o1 = {kHalfRoot * (odd[1].re + odd[1].im), kHalfRoot * (odd[1].im - odd[1].re)};
  const Complex o2 = minus_i_times(odd[2]);
  const Complex o3 = {kHalfRoot * (odd[3].im - odd[3].re), -kHalfRoot * (odd[3].re + odd[3].im)};
  x[0] = even[0] + odd[0];
  x[1] = even[1] + o1;
  x[2] = even[2] + o2;
  x[3] = even[3] + o3;
  x[4] = even[0] - odd[0];
  x[5] = even[1] - o1;
  x[6] = even[2] - o2;
  x[7] = even[3] - o3;
}

// put(k, X[k]) for the transform of get(n), n and k below N.
template <int N, typename Get, typename Put>
inline void fft(Get get, Put put) {
  constexpr int N1 = N == 64 ? 8 : 4, N2 = N / N1;
  static constexpr TwiddleTable<N1, N2> kTwiddles;
  Complex between[N1][N2];
  for (int n2 = 0; n2 < N2; ++n2) {
    Complex x[N1];
    FACEGEN_UNROLL_ALL
    for (int n1 = 0; n1 < N1; ++n1) x[n1] = get(N2 * n1 + n2);
    small_fft(x);
    between[0][n2] = x[0];
    FACEGEN_UNROLL_ALL
    for (int k1 = 1; k1 < N1; ++k1) between[k1][n2] = times(x[k1], kTwiddles.at[k1][n2]);
  }
  for (int k1 = 0; k1 < N1; ++k1) {
    Complex x[N2];
    FACEGEN_UNROLL_ALL
    for (int n2 = 0; n2 < N2; ++n2) x[n2] = between[k1][n2];
    small_fft(x);
    FACEGEN_UNROLL_ALL
    for (int k2 = 0; k2 < N2; ++k2) put(k1 + N1 * k2, x[k2]);
  }
}
// The inverse, times N: exchanging real and imaginary parts of what comes in and of what goes out
// turns one into the other.
template <int N, typename Get, typename Put>
inline void inverse_fft(Get get, Put put) {
  fft<N>([&](int k) { const Complex z = get(k); return Complex{z.im, z.re}; },
         [&](int n, Complex z) { put(n, Complex{z.im, z.re}); });
}

// work: (T / 2 columns, T rows) complex; column 0 has the real columns 0 and T / 2 as its two parts.
template <int T, typename Load, typename Store>
inline void forward_tile(const FftForward& f, int i, Complex* work, Load load_some, Store store_some) {
  for (int y = 0; y < T; y += 2) {
    const float* const* rows = f.pixels + y * T;
    if (f.is_zero_pair[y / 2]) {
      for (int x = 0; x < T / 2; ++x) work[x * T + y] = work[x * T + y + 1] = Complex{};
      continue;
    }
    Complex z[T];
    const auto number = [&](const float* pixel) {
      return pixel == nullptr ? Vec{} : load_some(pixel + f.first_channel + i);
    };
    fft<T>([&](int x) { return Complex{number(rows[x]), number(rows[T + x])}; },
           [&](int x, Complex value) { z[x] = value; });
    work[y] = {z[0].re, z[T / 2].re};
    work[y + 1] = {z[0].im, z[T / 2].im};
    for (int x = 1; x < T / 2; ++x) {
      const Complex a = z[x], b = z[T - x];
      work[x * T + y] = {a.re + b.re, a.im - b.im};
      work[x * T + y + 1] = {a.im + b.im, b.re - a.re};
    }
  }
  const auto put = [&](int frequency, Complex z) {
    float* const* panels = f.panels + frequency * 3;
    const int64_t at = f.offset + i;
    store_some(panels[0] + at, f.weights ? z.re : z.re + z.im);
    store_some(panels[1] + at, f.weights ? z.im - z.re : z.re);
    store_some(panels[2] + at, f.weights ? z.re + z.im : z.im);
  };
  Complex z[T];
  fft<T>([&](int y) { return work[y]; }, [&](int k, Complex value) { z[k] = value; });
  for (int k = 0; k <= T / 2; ++k) {
    const Complex a = z[k], b = z[(T - k) % T];
    put(k, {a.re + b.re, a.im - b.im});
    put(T / 2 + 1 + k, {a.im + b.im, b.re - a.re});
  }
  for (int x = 1; x < T / 2; ++x) {
    const int first = 2 * (T / 2 + 1) + (x - 1) * T;
    fft<T>([&](int y) { return work[x * T + y]; },
           [&](int k, Complex value) { put(first + k, value); });
  }
}

template <int T>
void forward(const FftForward& f) {
  auto* const work = reinterpret_cast<Complex*>(f.work);
  for_each_vector(f.channels, [&](int i, auto get, auto put) { forward_tile<T>(f, i, work, get, put); });
}

void fft_forward(const FftForward& f) {
  switch (f.size) {
    case 16: return forward<16>(f);
    case 32: return forward<32>(f);
    default: return forward<64>(f);
  }
}

template <int T>
void inverse(const FftInverse& f) {
  auto* const work = reinterpret_cast<Complex*>(f.work);
  for (int i = 0; i < f.columns; i += kLanes) {
    const auto get = [&](int frequency) {
      const float* const m = f.products + frequency * 3 * f.product_stride + i;
      const Vec k1 = load(m), k2 = load(m + f.product_stride), k3 = load(m + 2 * f.product_stride);
      return Complex{k1 - k3, k1 + k2};
    };
    Complex z[T];
    for (int k = 0; k <= T / 2; ++k) {
      const Complex a = get(k), b = get(T / 2 + 1 + k);
      z[k] = {a.re - b.im, a.im + b.re};
      if (k > 0 && k < T / 2) z[T - k] = {a.re + b.im, b.re - a.im};
    }
    inverse_fft<T>([&](int k) { return z[k]; }, [&](int y, Complex value) { work[y] = value; });
    for (int x = 1; x < T / 2; ++x) {
      const int first = 2 * (T / 2 + 1) + (x - 1) * T;
      inverse_fft<T>([&](int k) { return get(first + k); },
                     [&](int y, Complex value) { work[x * T + y] = value; });
    }
    for (int y = 0; y < f.rows; y += 2) {
      z[0] = {work[y].re, work[y + 1].re};
      z[T / 2] = {work[y].im, work[y + 1].im};
      for (int x = 1; x < T / 2; ++x) {
        const Complex a = work[x * T + y], b = work[x * T + y + 1];
        z[x] = {a.re - b.im, a.im + b.re};
        z[T - x] = {a.re + b.im, b.re - a.im};
      }
      inverse_fft<T>([&](int x) { return z[x]; },
                     [&](int x, Complex value) {
                       if (x >= f.row_outputs) return;
                       float* const sum = f.sums + (y * f.row_outputs + x) * f.columns + i;
                       store(sum, value.re);
                       if (y + 1 < f.rows) store(sum + f.row_outputs * f.columns, value.im);
                     });
    }
  }
}

void fft_inverse(const FftInverse& f) {
  switch (f.size) {
    case 16: return inverse<16>(f);
    case 32: return inverse<32>(f);
    default: return inverse<64>(f);
  }
}

}  // namespace
