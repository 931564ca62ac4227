// Zeros written out to the left and right of a map's rows.
#pragma once

#include <cstdint>

#include "cpu/gemm.h"
#include "program.h"

namespace facegen::cpu {

// Whether a copy with so many columns more costs little beside the rest of the layer.
inline bool worth_padding(int64_t width, int64_t columns) { return columns <= width + 64; }

// A copy of `in` in memory of the calling thread, good until its next call. `padded` is the map with
// `left` and `right` pixels of zeros in its width.
Images pad_rows(int64_t images, Images in, const View& padded, int left, int right, int threads);

}  // namespace facegen::cpu
