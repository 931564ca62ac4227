// The im2col matrix of a phase, read from where its maps lie: nothing of it is in memory. Where a number lies
// is a row's place and, for all rows alike, a tap's place from there.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/fit/divide.h"
#include "cuda/fit/training_plan.h"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {

struct Gather {
  const float* x;       // the first group's first channel of the first image
  int64_t image_floats;
  int32_t h, w, c;      // c: floats from a pixel to the next
  int32_t channels;     // of a group
  TrainingPhase phase;
  Divider by_outputs, by_width, by_channels, by_taps_x;
};

struct Position {
  int32_t image, oy, ox;
};

// Rows are below 2^31 (is_countable).
__device__ inline Position find_position(const Gather& g, int row) {
  const int image = g.by_outputs.divide(row), pixel = row - image * g.phase.outputs();
  const int oy = g.by_width.divide(pixel);
  return {image, oy, pixel - oy * g.phase.x.out};
}

// An address as it is: else the compiler makes that of every number next to it of all its terms anew.
__device__ inline const float* made(const float* address) {
  asm volatile("" : "+l"(address));
  return address;
}

// Where a row reads, before a tap moves it.
struct Place {
  const float* from;
  int32_t y, x;
};
__device__ inline Place find_place(const Gather& g, const Position& at, int group) {
  const int y = at.oy * g.phase.y.step, x = at.ox * g.phase.x.step;
  const float* from =
      g.x + at.image * g.image_floats + (int64_t{y} * g.w + x) * g.c + int64_t{group} * g.channels;
  return {made(from), y, x};
}

// A column: a tap and a channel.
struct alignas(16) Tap {
  int32_t y, x, offset;  // from a row's place
  int32_t weight;        // where it lies in the weight; below 0: there are not so many columns
};
constexpr int kNowhere = -(1 << 30);  // twice it is an int too

__device__ inline Tap find_tap(const Gather& g, int column, int columns, int tap_step, int channel_step) {
  if (column >= columns) return {kNowhere, kNowhere, 0, -1};
  const int tap = g.by_channels.divide(column), channel = column - tap * g.channels;
  const int ty = g.by_taps_x.divide(tap), tx = tap - ty * g.phase.x.taps;
  const int y = ty * g.phase.y.dir + g.phase.y.base, x = tx * g.phase.x.dir + g.phase.x.base;
  return {y, x, (y * g.w + x) * g.c + channel, g.phase.weight_tap(ty, tx) * tap_step + channel * channel_step};
}

// Whether the map has what a row reads with a tap: else it is padding.
__device__ inline bool reaches(const Gather& g, const Place& place, const Tap& tap) {
  const bool y = static_cast<unsigned>(place.y + tap.y) < static_cast<unsigned>(g.h);
  const bool x = static_cast<unsigned>(place.x + tap.x) < static_cast<unsigned>(g.w);
  return y & x;  // without a branch
}

inline Gather make_gather(const TrainingMap& x, const TrainingPhase& phase, int first_channel,
                          int channels) {
  const TrainingValue& v = *x.value;
  return {x.data + first_channel, v.floats(), v.h, v.w, v.c, channels, phase,
          make_divider(phase.outputs()), make_divider(phase.x.out), make_divider(channels),
          make_divider(std::max(1, phase.x.taps))};
}

// Whether four neighbouring channels can be read at once.
inline bool is_vector(const Gather& g) {
  return is_vector_aligned(g.x) && g.c % 4 == 0 && g.channels % 4 == 0;
}

}  // namespace facegen::cuda
