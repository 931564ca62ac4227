// The numbers of a problem, and how they lie in memory.
#pragma once

#include <cstdint>
#include <vector>

#include "problem.h"

namespace course {

enum class Layout {
  kNchw,  // maps (image, channel, y, x), weights (out channel, in channel, tap y, tap x)
  kNhwc,  // maps (image, y, x, channel), weights (tap y, tap x, in channel, out channel)
};

struct Index {
  Layout layout;

  // Of a number of a map of height h, width w and c channels.
  int64_t map(int h, int w, int c, int image, int y, int x, int channel) const {
    if (layout == Layout::kNchw) return ((int64_t{image} * c + channel) * h + y) * w + x;
    return ((int64_t{image} * h + y) * w + x) * c + channel;
  }
  int64_t weight(const Problem& p, int ty, int tx, int in, int out) const {
    const int tap = ty * p.kernel + tx;
    if (layout == Layout::kNchw) return (int64_t{out} * p.in_c + in) * p.taps() + tap;
    return (int64_t{tap} * p.in_c + in) * p.out_c + out;
  }
};

// A number in -1 to 1 that depends on its place alone, so that both layouts hold the same numbers.
inline float noise(uint64_t place) {  // the finaliser of SplitMix64 (Steele, Lea, Flood 2014)
  place += 0x9e3779b97f4a7c15u;
  place = (place ^ (place >> 30)) * 0xbf58476d1ce4e5b9u;
  place = (place ^ (place >> 27)) * 0x94d049bb133111ebu;
  return static_cast<float>(static_cast<int64_t>(place ^ (place >> 31)) >> 40) * 0x1p-23f;
}

inline std::vector<float> make_input(const Problem& p, Layout layout) {
  std::vector<float> values(static_cast<std::size_t>(p.inputs()));
  uint64_t place = 0;
  for (int n = 0; n < p.images; ++n)
    for (int y = 0; y < p.in_h; ++y)
      for (int x = 0; x < p.in_w; ++x)
        for (int c = 0; c < p.in_c; ++c) {
          const int64_t at = Index{layout}.map(p.in_h, p.in_w, p.in_c, n, y, x, c);
          values[static_cast<std::size_t>(at)] = noise(place++);
        }
  return values;
}

inline std::vector<float> make_weights(const Problem& p, Layout layout) {
  std::vector<float> values(static_cast<std::size_t>(p.weights()));
  uint64_t place = uint64_t{1} << 40;
  for (int ty = 0; ty < p.kernel; ++ty)
    for (int tx = 0; tx < p.kernel; ++tx)
      for (int i = 0; i < p.in_c; ++i)
        for (int o = 0; o < p.out_c; ++o) {
          const int64_t at = Index{layout}.weight(p, ty, tx, i, o);
          values[static_cast<std::size_t>(at)] = noise(place++);
        }
  return values;
}

}  // namespace course
