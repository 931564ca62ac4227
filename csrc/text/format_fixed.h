// float32 as text, byte for byte what C's printf("%.4f") writes.
//
// A float has 24 significant bits and 1e4 has 10 (16 * 625), so value * 1e4 is exact in double, and
// rounding it half to even to an integer gives printf's digits: no big numbers, no locale. What has
// no finite digits is written as glibc does: "nan", "-nan", "inf", "-inf".
#pragma once

#include <cstdint>

namespace facegen {

// Sign, the 39 digits of the largest float, ".0000".
constexpr int kMaxFixedChars = 1 + 39 + 5;

// Writes `value` and one space, returns the end. `out` must have room for kMaxFixedChars + 1 bytes
// and may be written one byte past the end returned.
char* format_fixed(float value, char* out);

// A (rows, cols) array as text: each value followed by one space, each row by '\n'.
// measure_rows fills offsets (rows + 1): row r is the bytes offsets[r] .. offsets[r + 1] of the
// text; format_rows writes it to `out` (offsets[rows] bytes). Throws std::runtime_error where the
// values no longer have the length that was measured.
void measure_rows(const float* values, int64_t rows, int64_t cols, int threads, int64_t* offsets);
void format_rows(const float* values, int64_t rows, int64_t cols, int threads,
                 const int64_t* offsets, char* out);

}  // namespace facegen
