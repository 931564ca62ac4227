// Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011): four random words of 32 bits, a function of a counter
// and a key. So a random number depends on whose it is, not on who draws it or when.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace facegen {

struct PhiloxKey {
  uint32_t low, high;
};

// Of a seed, and of what draws by it: streams are independent of each other.
FACEGEN_HOST_DEVICE static inline PhiloxKey philox_key(uint64_t seed, uint32_t stream) {
  const uint64_t key = seed + uint64_t{stream} * 0x9E3779B97F4A7C15u;
  return {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
}

// The counter is a place among the stream's, and a step of training. Static: each instruction set has its own.
FACEGEN_HOST_DEVICE static inline void philox(uint64_t place, uint64_t step, PhiloxKey key,
                                              uint32_t (&words)[4]) {
  uint32_t c0 = static_cast<uint32_t>(place), c1 = static_cast<uint32_t>(place >> 32);
  uint32_t c2 = static_cast<uint32_t>(step), c3 = static_cast<uint32_t>(step >> 32);
#ifdef __CUDA_ARCH__
#pragma unroll
#endif
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c0, b = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ key.low;
    c1 = static_cast<uint32_t>(b);
    c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ key.high;
    c3 = static_cast<uint32_t>(a);
    key.low += 0x9E3779B9u;
    key.high += 0xBB67AE85u;
  }
  words[0] = c0;
  words[1] = c1;
  words[2] = c2;
  words[3] = c3;
}

}  // namespace facegen
