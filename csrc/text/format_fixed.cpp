#include "text/format_fixed.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <stdexcept>

#include "divide_up.h"
#include "threads.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "first character = lowest byte");

namespace facegen {
namespace {

constexpr double kTwo52 = 4503599627370496.0;

// Values formatted at a time into a buffer that stays in L1, then copied to their place: so no
// store runs into the bytes of another thread's row, and the room is checked once a block.
constexpr int64_t kBlockValues = 64;

// Enough work in a task to hide the cost of handing it out.
constexpr int64_t kTaskValues = 4096;

// Rounds 0 <= x < 2^52 half to even: 2^52 + x has no bits below the integer's.
inline uint64_t round_half_even(double x) {
  x += kTwo52;
  uint64_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits & ((uint64_t{1} << 52) - 1);
}

// The four decimal digits of n < 10000 as characters, the first in the lowest byte: 40 KB, which
// stay in L1 while rows are formatted, for 13 instructions a value less than computing them.
constexpr std::array<uint32_t, 10000> make_four_digits() {
  std::array<uint32_t, 10000> table{};
  for (uint32_t n = 0; n < 10000; ++n) {
    table[n] = 0x30303030 + n / 1000 + (n / 100 % 10 << 8) + (n / 10 % 10 << 16) + (n % 10 << 24);
  }
  return table;
}
constexpr std::array<uint32_t, 10000> kFourDigits = make_four_digits();

// Writes the digits of |value|, an integer from 2^24 on, so that they end before `end`; returns where
// they begin. By long division: 32-bit systems have no integers of 128 bits.
char* integer_digits(float value, char* end) {
  int exponent;
  const auto significand =
      static_cast<uint64_t>(std::ldexp(std::frexp(std::fabs(value), &exponent), 24));
  const int shift = exponent - 24;  // |value| = significand * 2^shift
  uint32_t words[5] = {};           // lowest first
  words[shift / 32] = static_cast<uint32_t>(significand << shift % 32);
  words[shift / 32 + 1] = static_cast<uint32_t>(significand << shift % 32 >> 32);
  for (int top = shift / 32 + 1; top >= 0;) {
    uint64_t rest = 0;
    for (int i = top; i >= 0; --i) {
      rest = rest << 32 | words[i];
      words[i] = static_cast<uint32_t>(rest / 10);
      rest %= 10;
    }
    *--end = static_cast<char>('0' + rest);
    while (top >= 0 && words[top] == 0) --top;
  }
  return end;
}

// Everything but a single digit before the point.
char* format_general(float value, char* out) {
  if (std::signbit(value)) *out++ = '-';
  if (!std::isfinite(value)) {
    std::memcpy(out, std::isnan(value) ? "nan " : "inf ", 4);
    return out + 4;
  }
  const double magnitude = std::fabs(static_cast<double>(value) * 1e4);
  uint32_t fraction = 0;
  if (magnitude < kTwo52) {
    const uint64_t scaled = round_half_even(magnitude);
    fraction = static_cast<uint32_t>(scaled % 10000);
    out = std::to_chars(out, out + 20, scaled / 10000).ptr;
  } else {  // an integer below 2^128
    char digits[39];
    char* const end = digits + sizeof digits;
    out = std::copy(integer_digits(value, end), end, out);
  }
  const uint32_t digits = kFourDigits[fraction];
  *out++ = '.';
  std::memcpy(out, &digits, 4);
  out[4] = ' ';
  return out + 5;
}

inline char* format_inline(float value, char* out) {
  const double scaled = static_cast<double>(value) * 1e4;
  const double magnitude = std::fabs(scaled);
  if (!(magnitude < 99999.5)) return format_general(value, out);  // NaN too
  const uint32_t n = static_cast<uint32_t>(round_half_even(magnitude));
  const uint32_t whole = n / 10000;
  const uint64_t text = ('0' + whole) | uint64_t{'.'} << 8 |
                        uint64_t{kFourDigits[n - whole * 10000]} << 16 | uint64_t{' '} << 48;
  *out = '-';  // overwritten unless negative: signs are random, a branch would miss half of them
  out += std::signbit(value);
  std::memcpy(out, &text, 8);
  return out + 7;
}

int64_t measure_row(const float* row, int64_t cols) {
  int64_t negative = 0;
  bool all_short = true;
  for (int64_t i = 0; i < cols; ++i) {
    negative += std::signbit(row[i]);
    all_short &= std::fabs(row[i]) < 9.9999f;
  }
  if (all_short) return 7 * cols + negative + 1;
  int64_t bytes = 1;
  char scratch[kMaxFixedChars + 2];
  for (int64_t i = 0; i < cols; ++i) bytes += format_inline(row[i], scratch) - scratch;
  return bytes;
}

void format_row(const float* row, int64_t cols, char* out, char* end) {
  char block[kBlockValues * (kMaxFixedChars + 1) + 1];
  for (int64_t i = 0; i < cols; i += kBlockValues) {
    char* p = block;
    const int64_t stop = std::min(cols, i + kBlockValues);
    for (int64_t j = i; j < stop; ++j) p = format_inline(row[j], p);
    if (p - block >= end - out) throw std::runtime_error("values changed while being formatted");
    out = std::copy(block, p, out);
  }
  if (end - out != 1) throw std::runtime_error("values changed while being formatted");
  *out = '\n';
}

// body(row) for every row, some rows a task.
template <typename Body>
void for_each_row(int64_t rows, int64_t cols, int threads, Body&& body) {
  const int64_t grain = std::max<int64_t>(1, kTaskValues / std::max<int64_t>(1, cols));
  parallel_for(divide_up(rows, grain), threads, [&](int64_t task, int) {
    const int64_t stop = std::min(rows, (task + 1) * grain);
    for (int64_t row = task * grain; row < stop; ++row) body(row);
  });
}

}  // namespace

char* format_fixed(float value, char* out) { return format_inline(value, out); }

void measure_rows(const float* values, int64_t rows, int64_t cols, int threads, int64_t* offsets) {
  offsets[0] = 0;
  for_each_row(rows, cols, threads, [&](int64_t row) {
    offsets[row + 1] = measure_row(values + row * cols, cols);
  });
  for (int64_t row = 0; row < rows; ++row) offsets[row + 1] += offsets[row];
}

void format_rows(const float* values, int64_t rows, int64_t cols, int threads,
                 const int64_t* offsets, char* out) {
  for_each_row(rows, cols, threads, [&](int64_t row) {
    format_row(values + row * cols, cols, out + offsets[row], out + offsets[row + 1]);
  });
}

}  // namespace facegen
