// Boxes of pixels that the copy engine brings into shared memory.
#pragma once

#include <cstdint>

namespace facegen::cuda::hopper {

constexpr int kBlockChannels = 64;  // of a copied box: 128 bytes, one swizzled row

// A box of pixels.
struct Box {
  int32_t log2_w, log2_h, log2_n;
};

}  // namespace facegen::cuda::hopper
