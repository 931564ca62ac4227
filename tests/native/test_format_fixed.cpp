#include "text/format_fixed.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"

using namespace facegen;

namespace {

void check_like_printf(float value) {
#if defined(_WIN32)
  if (std::isnan(value)) return;  // ours is glibc's "-nan", that of Windows "-nan(ind)"
#endif
  char expected[64], found[64];
  std::snprintf(expected, sizeof expected, "%.4f ", static_cast<double>(value));
  std::memset(found, '#', sizeof found);
  char* end = format_fixed(value, found);
  CHECK(std::string(found, static_cast<size_t>(end - found)) == expected);
  for (const char* p = end + 1; p < found + sizeof found; ++p) CHECK(*p == '#');
}

float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

void test_special_values() {
  const float infinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (float value : {0.0f, 1.0f, 0.99995f, 9.99994f, 9.99995f, 9.99996f, 10.0f, 16777216.0f, 4.5e11f,
                      std::numeric_limits<float>::max(), std::numeric_limits<float>::min(),
                      std::numeric_limits<float>::denorm_min(), infinity, nan, 4.9e-5f}) {
    check_like_printf(value);
    check_like_printf(-value);
  }
}

void test_ties() {
  // odd / 20000 is a tie where a float can hold it: odd multiples of 1/32.
  for (int i = -64000; i <= 64000; ++i) check_like_printf(static_cast<float>(i) / 32.0f);
}

void test_near_midpoints() {
  for (int i = 0; i < 110000; ++i) {
    const float value = (static_cast<float>(i) + 0.5f) * 1e-4f;
    for (float v : {std::nextafter(value, 0.0f), value, std::nextafter(value, 1e9f)}) {
      check_like_printf(v);
      check_like_printf(-v);
    }
  }
}

void test_random_bits() {
  std::mt19937 random(1);
  for (int i = 0; i < 300000; ++i) check_like_printf(from_bits(random()));
}

std::string rows_text(const std::vector<float>& values, int64_t rows, int64_t cols, int threads) {
  std::vector<int64_t> offsets(static_cast<size_t>(rows) + 1);
  measure_rows(values.data(), rows, cols, threads, offsets.data());
  std::string text(static_cast<size_t>(offsets.back()) + 1, '#');
  format_rows(values.data(), rows, cols, threads, offsets.data(), text.data());
  CHECK(text.back() == '#');
  text.pop_back();
  return text;
}

void test_rows() {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  for (int64_t cols : {0, 1, 63, 64, 65, 300}) {
    const int64_t rows = 37;
    std::vector<float> values(static_cast<size_t>(rows * cols));
    for (float& value : values) value = uniform(random);
    if (cols == 65) values[100] = std::numeric_limits<float>::max();
    std::string expected;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < cols; ++j) {
        char word[64];
        std::snprintf(word, sizeof word, "%.4f ",
                      static_cast<double>(values[static_cast<size_t>(i * cols + j)]));
        expected += word;
      }
      expected += '\n';
    }
    CHECK(rows_text(values, rows, cols, 1) == expected);
    CHECK(rows_text(values, rows, cols, 3) == expected);
  }
}

void test_changed_values() {
  std::vector<float> values(100, 0.5f);
  int64_t offsets[2];
  measure_rows(values.data(), 1, 100, 1, offsets);
  std::vector<char> text(static_cast<size_t>(offsets[1]));
  for (float changed : {-0.5f, 1e30f}) {
    for (size_t i : {size_t{0}, size_t{99}}) {
      std::vector<float> other = values;
      other[i] = changed;
      bool thrown = false;
      try {
        format_rows(other.data(), 1, 100, 1, offsets, text.data());
      } catch (const std::runtime_error&) {
        thrown = true;
      }
      CHECK(thrown);
    }
  }
}

}  // namespace

int main() {
  test_special_values();
  test_ties();
  test_near_midpoints();
  test_random_bits();
  test_rows();
  test_changed_values();
}
