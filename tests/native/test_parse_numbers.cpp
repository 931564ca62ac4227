#include "text/parse_numbers.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "check.h"

using namespace facegen;

namespace {

std::vector<float> parse(const std::string& text, int64_t block, int threads, bool finite = false) {
  NumberParser parser(finite, 1, 1);
  std::vector<float> values;
  const auto collect = [&] {
    std::vector<float> part(static_cast<size_t>(parser.count()));
    parser.copy_to(part.data());
    values.insert(values.end(), part.begin(), part.end());
  };
  const auto size = static_cast<int64_t>(text.size());
  for (int64_t i = 0; i < size; i += block) {
    // A copy without room behind it: reading past the end shows under AddressSanitizer.
    const std::vector<char> part(text.begin() + i, text.begin() + std::min(size, i + block));
    parser.feed(part.data(), static_cast<int64_t>(part.size()), threads);
    collect();
  }
  parser.finish();
  collect();
  return values;
}

std::string error_of(const std::string& text, int64_t block = 1 << 20, bool finite = true) {
  try {
    parse(text, block, 1, finite);
  } catch (const BadNumber& error) {
    return error.what();
  }
  return "";
}

bool same_bits(float a, float b) { return std::memcmp(&a, &b, sizeof a) == 0; }

// That of Windows (of Wine 8 at least) rounds twice, to double first, and has another NaN: there a
// value may differ by its last bit.
float close_to_strtof([[maybe_unused]] float value, const std::string& word) {
  const float found = std::strtof(word.c_str(), nullptr);
#if defined(_WIN32)
  const bool near = std::nextafter(found, value) == value;
  if (near || (std::isnan(found) && std::isnan(value))) return value;
#endif
  return found;
}

void check_like_strtof(const std::string& word) {
  for (const std::string& text : {word, word + " 1", "  " + word + "\n2"}) {
    const std::vector<float> values = parse(text, 1 << 20, 1);
    CHECK(same_bits(values.at(0), close_to_strtof(values.at(0), word)));
  }
}

void test_words() {
  for (const char* word :
       {"0", "-0", "+1", "1.", ".5", "-.5e1", "1e5", "1E+5", "12345678.12345678", "0.286769",
        "1e-45", "7e-46", "1e-400", "1e400", "-1e400", "3.4028235e38", "3.4028236e38", "340282357e30",
        "1.17549435e-38", "1.1754943e-38", "0e999", "0e99999999999999999999",
        "1e99999999999999999999", "1e-99999999999999999999", "9999999999999999999",
        "99999999999999999999", "18446744073709551616", "2.867690026760101318e-01", "16777217",
        "16777217.0000000000000000000001", "16777219", "1.00000005960464477539062500",
        "1.00000005960464477539062501", "0.000000000000000000000000000000000000000000001",
        "0.1e1", "1e-22", "1e22", "1e23", "1e-23", "inf", "-INFINITY", "nan", "1.401298e-45",
        "7.006492321624085e-46", "7.006492321624086e-46"}) {
    check_like_strtof(word);
  }
}

void test_random_words() {
  std::mt19937 random(3);
  char word[128];
  for (int i = 0; i < 200000; ++i) {
    const uint32_t bits = random();
    float value;
    std::memcpy(&value, &bits, sizeof value);
    if (!std::isfinite(value)) continue;
    const int digits = static_cast<int>(random() % 24);
    std::snprintf(word, sizeof word, i % 2 ? "%.*e" : "%.*g", digits, static_cast<double>(value));
    check_like_strtof(word);
    // Near the midpoint of two floats: what double rounding gets wrong.
    const double next = std::nextafter(value, INFINITY);
    std::snprintf(word, sizeof word, "%.*e", 8 + digits % 12, (static_cast<double>(value) + next) / 2);
    if (std::isfinite(next)) check_like_strtof(word);
  }
}

void test_blocks_and_threads() {
  std::mt19937 random(4);
  std::string text;
  std::vector<float> expected;
  while (text.size() < 400000) {
    char word[32];
    std::snprintf(word, sizeof word, "%.*f", static_cast<int>(random() % 10),
                  static_cast<double>(random()) / 4e9 - 0.5);
    expected.push_back(std::strtof(word, nullptr));
    text += word;
    text += " \t\n\v\f\r"[random() % 6];
    if (random() % 8 == 0) text += "  \n";
  }
  text.pop_back();
  for (int64_t block : {1, 2, 7, 64, 4093, 150001, 1 << 20}) {
    for (int threads : {1, 2, 5}) CHECK(parse(text, block, threads) == expected);
  }
}

void test_bad_words() {
  CHECK(error_of("1 2\n3 abc 4") == "line 2, column 3: 'abc' is not a number");
  for (int64_t block : {1, 2, 3, 5, 100}) {
    CHECK(error_of("1 2\n3 4x5 4", block) == "line 2, column 3: '4x5' is not a number");
    CHECK(error_of("1\n\n  nan", block) == "line 3, column 3: 'nan' is not a finite number");
    CHECK(error_of("1e39 ", block) == "line 1, column 1: '1e39' is not a finite number");
  }
  for (const char* word : {"+", "-", ".", "e5", "1e", "1e+", "--1", "+-1", "1-", "1,5", "0x1p3", "1.2.3",
                           "infinite", "1e5.0", "-.", "1f", "1_0"}) {
    CHECK(error_of(word, 100, false) == std::string("line 1, column 1: '") + word + "' is not a number");
    CHECK(error_of(word, 1, false) == std::string("line 1, column 1: '") + word + "' is not a number");
  }
  CHECK(error_of(std::string("a\0'\x7f\xff", 5)) ==
        "line 1, column 1: 'a\\x00\\x27\\x7f\\xff' is not a number");
  CHECK(error_of(std::string(50, 'x')) ==
        "line 1, column 1: '" + std::string(40, 'x') + "...' is not a number");
}

void test_first_bad_word_of_many_threads() {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += i >= 30000 && i % 1000 == 0 ? "bad\n" : "0.25\n";
  try {
    parse(text, 1 << 20, 4);
    CHECK(false);
  } catch (const BadNumber& error) {
    CHECK(std::string(error.what()) == "line 30001, column 1: 'bad' is not a number");
  }
}

void test_long_words() {
  const std::string digits(static_cast<size_t>(kMaxWordBytes), '0');
  CHECK(parse(digits.substr(2) + ".5", 1000, 1) == std::vector<float>{0.5f});
  for (int64_t block : {1000, 1 << 20}) {
    for (const char* tail : {"1", "1 2", "11111111"}) {
      const std::string error = error_of(digits + tail, block);
      CHECK(error.find("is longer than 65536 characters") != std::string::npos);
      CHECK(error.rfind("line 1, column 1: '000", 0) == 0);
    }
  }
}

}  // namespace

int main() {
  test_words();
  test_random_words();
  test_blocks_and_threads();
  test_bad_words();
  test_first_bad_word_of_many_threads();
  test_long_words();
}
