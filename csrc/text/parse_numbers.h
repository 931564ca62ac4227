// White-space-separated decimal numbers to float32, correctly rounded, as a stream of blocks.
//
// A number is what C's strtof reads in decimal: [+-] digits with or without a point [e[+-]digits],
// "inf", "infinity" or "nan" in any case. White space is that of C's isspace. Nothing depends on
// the locale.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace facegen {

// Longest word accepted: bounds the memory that a file without white space can take.
constexpr int64_t kMaxWordBytes = 65536;

// what() reads: line 3, column 7: 'abc' is not a number
struct BadNumber : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

class NumberParser {
 public:
  // `finite`: nan, inf and what overflows to inf are refused. The text starts at `line`, `column`
  // (1-based; columns count bytes).
  NumberParser(bool finite, int64_t line, int64_t column)
      : finite_(finite), line_(line), column_(column) {}

  // Parses the numbers that end inside this block; a word cut by the block's end waits for the
  // next one. Throws BadNumber for the first word that is no number.
  void feed(const char* text, int64_t bytes, int threads);

  // The text has ended: parses the word that waits, if any.
  void finish();

  // Numbers from the last feed() or finish().
  int64_t count() const;
  void copy_to(float* values) const;

  // Place of the next byte.
  int64_t line() const { return line_; }
  int64_t column() const { return column_; }

 private:
  // A part of a block, [next_byte, end), and its numbers.
  struct Piece {
    const char* next_byte = nullptr;
    const char* end = nullptr;
    const char* bad_word = nullptr;
    int64_t count = 0;
    std::vector<float> values;  // kept from block to block, so longer than `count`
  };

  void parse_pieces(Piece& first, Piece& second, const char* block_end) const;
  void parse_pending();
  void advance(const char* text, const char* end);
  [[noreturn]] void refuse(const char* word, const char* end) const;

  bool finite_;
  int64_t line_, column_;
  std::string pending_;         // a word cut by the end of the block; it ends at line_, column_
  float pending_value_ = 0.0f;  // its number, once it was complete
  int64_t pending_count_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace facegen
