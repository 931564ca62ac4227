#include "text/parse_numbers.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <system_error>

#include "threads.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "first character = lowest byte");

namespace facegen {
namespace {

// Enough text in a task to hide the cost of handing it out; a few tasks a thread balance the load.
constexpr int64_t kMinTaskBytes = 32768;
constexpr int kTasksPerThread = 4;

constexpr int kMaxDigits = 19;    // 10^19 < 2^64
constexpr int kMaxExponent = 22;  // 10^22 is exact in double

// A double within 2 ulp of a number rounds to the same float as the number, unless it stands this
// near to a midpoint of two floats.
constexpr int64_t kMidpointMargin = 4;

constexpr double kPowersOf10[kMaxExponent + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

constexpr uint64_t kIntegerPowersOf10[9] = {1,      10,      100,      1000,     10000,
                                            100000, 1000000, 10000000, 100000000};

inline bool is_space(char c) { return c == ' ' || static_cast<unsigned char>(c - '\t') < 5; }
inline bool is_digit(char c) { return static_cast<unsigned char>(c - '0') < 10; }

inline const char* find_space(const char* p, const char* end) {
  return std::find_if(p, end, is_space);
}

// Sets the sign without a branch, as all is done that hangs on it: half of the guesses would be wrong.
inline float with_sign(float magnitude, bool negative) {
  uint32_t bits;
  std::memcpy(&bits, &magnitude, sizeof bits);
  bits ^= static_cast<uint32_t>(negative) << 31;
  std::memcpy(&magnitude, &bits, sizeof bits);
  return magnitude;
}

// The leading digits of the eight bytes at p: how many there are, and their value.
struct EightDigits {
  int count;
  uint64_t value;
};

inline EightDigits read_eight_digits(const char* p) {
  uint64_t v;
  std::memcpy(&v, p, 8);
  v ^= 0x3030303030303030;  // digits become 0..9
  // The top bit of every byte above 9; a carry disturbs only bytes behind the first of them.
  const uint64_t others = (v | (v + 0x7676767676767676)) & 0x8080808080808080;
  const int count = others == 0 ? 8 : __builtin_ctzll(others) / 8;
  if (count == 0) return {0, 0};
  v <<= 8 * (8 - count);  // as if zeros stood before them
  v = v * 10 + (v >> 8);  // pairs, in every other byte
  v = ((v & 0x000000ff000000ff) * 0x000f424000000064 +
       ((v >> 16) & 0x000000ff000000ff) * 0x0000271000000001) >> 32;
  return {count, v & 0xffffffff};
}

// Appends all digits at p, returns their end.
inline const char* append_digits(const char* p, const char* end, uint64_t& mantissa) {
  while (end - p >= 8) {
    const EightDigits digits = read_eight_digits(p);
    mantissa = mantissa * kIntegerPowersOf10[digits.count] + digits.value;
    p += digits.count;
    if (digits.count < 8) return p;
  }
  for (; p < end && is_digit(*p); ++p) mantissa = mantissa * 10 + static_cast<uint64_t>(*p - '0');
  return p;
}

// The power of ten of the first digit that is not zero (saturated): tells a number that is too
// large from one that is too small. [p, end) is a valid unsigned number, not zero.
int64_t decimal_magnitude(const char* p, const char* end) {
  const char* e = std::find_if(p, end, [](char c) { return c == 'e' || c == 'E'; });
  const char* point = std::find(p, e, '.');
  const char* first = std::find_if(p, e, [](char c) { return c != '0' && c != '.'; });
  const int64_t position = first < point ? point - first - 1 : point - first;
  int64_t exponent = 0;
  if (e < end) {
    const bool negative = e[1] == '-';
    for (const char* q = e + 1 + (negative || e[1] == '+'); q < end; ++q) {
      exponent = std::min<int64_t>(exponent * 10 + (*q - '0'), int64_t{1} << 40);
    }
    if (negative) exponent = -exponent;
  }
  return position + exponent;
}

// Any word [word, end): false when it is no number.
bool parse_word(const char* word, const char* end, float& value) {
  if (end - word > kMaxWordBytes) return false;
  const bool negative = *word == '-';
  const char* p = word + (negative | (*word == '+'));
  if (p == end || *p == '-') return false;  // from_chars would take the minus
  float magnitude = 0.0f;
  const auto [stop, error] = std::from_chars(p, end, magnitude);
  if (stop != end || error == std::errc::invalid_argument) return false;
  if (error == std::errc::result_out_of_range) {
    magnitude = decimal_magnitude(p, end) > 0 ? std::numeric_limits<float>::infinity() : 0.0f;
  }
  value = with_sign(magnitude, negative);
  return true;
}

// The 29 bits that a double has more than a float: how far they stand from a midpoint of two floats.
inline int64_t distance_from_midpoint(double d) {
  uint64_t bits;
  std::memcpy(&bits, &d, sizeof bits);
  return std::abs(static_cast<int64_t>(bits & ((uint64_t{1} << 29) - 1)) - (int64_t{1} << 28));
}

// [sign] digit . one to 16 digits, white space: what files of latents and results are made of.
// Returns null when the word at p is anything else, or needs more care (see parse_number).
inline const char* parse_short_number(const char* p, const char* block_end, float& value) {
  if (block_end - p < 20) return nullptr;
  const bool negative = *p == '-';
  p += negative | (*p == '+');
  if (!is_digit(p[0]) || p[1] != '.') return nullptr;
  EightDigits part = read_eight_digits(p + 2);
  uint64_t mantissa = static_cast<uint64_t>(*p - '0') * kIntegerPowersOf10[part.count] + part.value;
  int digits = part.count;
  if (digits == 8) {
    part = read_eight_digits(p + 10);
    mantissa = mantissa * kIntegerPowersOf10[part.count] + part.value;
    digits += part.count;
  }
  const char* end = p + 2 + digits;
  if (digits == 0 || end == block_end || !is_space(*end)) return nullptr;
  const double d = static_cast<double>(static_cast<int64_t>(mantissa)) / kPowersOf10[digits];
  if (distance_from_midpoint(d) <= kMidpointMargin) return nullptr;
  value = with_sign(static_cast<float>(d), negative);
  return end;
}

// The word at p, which ends before block_end at the latest: its end, or null when it is no number.
//
// Up to 19 digits and a small power of ten, each exact or rounded once, give a double within 2 ulp
// of the number; parse_word() decides what is unusual or too near a midpoint.
const char* parse_number(const char* word, const char* block_end, float& value) {
  const bool negative = *word == '-';
  const char* p = word + (negative | (*word == '+'));
  uint64_t mantissa = 0;
  const char* start = p;
  for (; p < block_end && is_digit(*p); ++p) mantissa = mantissa * 10 + static_cast<uint64_t>(*p - '0');
  int64_t digits = p - start;
  int64_t exponent = 0;
  if (p < block_end && *p == '.') {
    start = ++p;
    p = append_digits(p, block_end, mantissa);
    digits += p - start;
    exponent = start - p;
  }
  if (p < block_end && (*p == 'e' || *p == 'E')) {
    ++p;
    const bool minus = p < block_end && *p == '-';
    if (p < block_end && (minus || *p == '+')) ++p;
    start = p;
    int64_t written = 0;
    while (p < block_end && is_digit(*p) && p - start < 3) written = written * 10 + (*p++ - '0');
    exponent += minus ? -written : written;
    if (p == start) digits = 0;  // an e without digits: no number
  }
  const bool simple = (p == block_end || is_space(*p)) && digits > 0 && digits <= kMaxDigits &&
                      exponent >= -kMaxExponent && exponent <= kMaxExponent;
  if (simple) {
    const double m = static_cast<double>(mantissa);
    const double d = exponent < 0 ? m / kPowersOf10[-exponent] : m * kPowersOf10[exponent];
    // Subnormal floats drop more bits, and overflow is no rounding.
    const bool normal = d >= 0x1p-126 && d < 0x1p127;
    if (mantissa == 0 || (normal && distance_from_midpoint(d) > kMidpointMargin)) {
      value = with_sign(static_cast<float>(d), negative);
      return p;
    }
  }
  const char* end = find_space(p, block_end);
  return parse_word(word, end, value) ? end : nullptr;
}

// Counted in bytes by 128s, which the compiler turns into vector code as it does not std::count.
int64_t count_newlines(const char* p, const char* end) {
  int64_t total = 0;
  for (; end - p >= 128; p += 128) {
    uint8_t count = 0;
    for (int i = 0; i < 128; ++i) count = static_cast<uint8_t>(count + (p[i] == '\n'));
    total += count;
  }
  return total + std::count(p, end, '\n');
}

// A word as it can be shown in a message: shortened, what is not printable as \xNN.
std::string shown(const char* word, const char* end) {
  constexpr int kShownBytes = 40;
  std::string text;
  const char* stop = std::min(end, word + kShownBytes);
  for (const char* p = word; p < stop; ++p) {
    const auto byte = static_cast<unsigned char>(*p);
    if (byte > 0x20 && byte < 0x7f && byte != '\\' && byte != '\'') {
      text += *p;
    } else {
      constexpr char kHex[] = "0123456789abcdef";
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return stop < end ? text + "..." : text;
}

}  // namespace

// Where a word starts hangs on the word before it, a chain of about 25 cycles a number. Parsing two
// pieces by turns keeps two chains going: 6.9 instead of 9.1 ns a number (3.6 GHz).
void NumberParser::parse_pieces(Piece& first, Piece& second, const char* block_end) const {
  struct Cursor {
    const char* p;
    const char* end;
    float* next;
    const char* bad_word;
  };
  const auto start = [](Piece& piece) {
    const auto most = static_cast<size_t>(piece.end - piece.next_byte) / 2 + 1;  // digit and space
    if (piece.values.size() < most) piece.values.resize(most);
    return Cursor{piece.next_byte, piece.end, piece.values.data(), nullptr};
  };
  // One number; false at the end of the piece and at a bad word.
  const auto step = [&](Cursor& at) {
    while (at.p < at.end && is_space(*at.p)) ++at.p;
    if (at.p >= at.end) return false;
    const char* word_end = parse_short_number(at.p, block_end, *at.next);
    if (word_end == nullptr) {
      word_end = parse_number(at.p, block_end, *at.next);
      if (word_end == nullptr || (finite_ && !std::isfinite(*at.next))) {
        at.bad_word = at.p;
        return false;
      }
    }
    ++at.next;
    at.p = word_end;
    return true;
  };
  Cursor a = start(first), b = start(second);
  while (step(a) && step(b)) {
  }
  if (a.bad_word == nullptr) {
    while (step(a)) {
    }
    while (b.bad_word == nullptr && step(b)) {
    }
  }
  first.count = a.next - first.values.data();
  first.bad_word = a.bad_word;
  second.count = b.next - second.values.data();
  second.bad_word = b.bad_word;
}

void NumberParser::feed(const char* text, int64_t bytes, int threads) {
  pending_count_ = 0;
  for (Piece& piece : pieces_) piece.count = 0;
  const char* const end = text + bytes;
  const char* p = text;

  if (!pending_.empty()) {
    const char* word_end = find_space(p, end);
    pending_.append(p, word_end);
    advance(p, word_end);
    p = word_end;
    if (p < end || static_cast<int64_t>(pending_.size()) > kMaxWordBytes) parse_pending();
  }

  const char* whole = end;  // the words before it are complete
  while (whole > p && !is_space(whole[-1])) --whole;

  const int64_t size = whole - p;
  const int64_t tasks =
      threads == 1
          ? 1
          : std::clamp<int64_t>(size / kMinTaskBytes, 1, int64_t{threads} * kTasksPerThread);
  pieces_.resize(std::max(pieces_.size(), static_cast<size_t>(2 * tasks)));
  // Piece i holds the words that start after cut(i) and end at or before cut(i + 1).
  const auto cut = [&](int64_t i) {
    return i == 0 ? p : find_space(p + size * i / (2 * tasks), whole);
  };
  parallel_for(tasks, threads, [&](int64_t task, int) {
    Piece* pair = &pieces_[static_cast<size_t>(2 * task)];
    pair[0].next_byte = cut(2 * task);
    pair[0].end = pair[1].next_byte = cut(2 * task + 1);
    pair[1].end = cut(2 * task + 2);
    parse_pieces(pair[0], pair[1], whole);
  });
  for (int64_t i = 0; i < 2 * tasks; ++i) {
    if (const char* bad = pieces_[static_cast<size_t>(i)].bad_word) {
      advance(p, bad);
      refuse(bad, find_space(bad, whole));
    }
  }
  pending_.append(whole, end);
  advance(p, end);
}

void NumberParser::finish() {
  for (Piece& piece : pieces_) piece.count = 0;
  pending_count_ = 0;
  if (!pending_.empty()) parse_pending();
}

void NumberParser::parse_pending() {
  const char* word = pending_.data();
  const char* end = word + pending_.size();
  float value;
  const char* word_end = parse_number(word, end, value);
  if (word_end == nullptr || (finite_ && !std::isfinite(value))) {
    column_ -= static_cast<int64_t>(pending_.size());
    refuse(word, end);
  }
  pending_.clear();
  pending_value_ = value;
  pending_count_ = 1;
}

void NumberParser::advance(const char* text, const char* end) {
  const int64_t newlines = count_newlines(text, end);
  if (newlines == 0) {
    column_ += end - text;
    return;
  }
  line_ += newlines;
  column_ = 1;
  for (const char* p = end; p[-1] != '\n'; --p) ++column_;
}

void NumberParser::refuse(const char* word, const char* end) const {
  const std::string place =
      "line " + std::to_string(line_) + ", column " + std::to_string(column_) + ": ";
  if (end - word > kMaxWordBytes) {
    throw BadNumber(place + "'" + shown(word, end) + "' is longer than " +
                    std::to_string(kMaxWordBytes) + " characters");
  }
  float value;
  const bool number = parse_word(word, end, value);
  throw BadNumber(place + "'" + shown(word, end) + "' is not a " + (number ? "finite " : "") +
                  "number");
}

int64_t NumberParser::count() const {
  int64_t total = pending_count_;
  for (const Piece& piece : pieces_) total += piece.count;
  return total;
}

void NumberParser::copy_to(float* values) const {
  if (pending_count_ == 1) *values++ = pending_value_;
  for (const Piece& piece : pieces_) values = std::copy_n(piece.values.data(), piece.count, values);
}

}  // namespace facegen
