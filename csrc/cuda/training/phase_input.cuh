// The im2col matrix of a phase, read from where its maps lie: nothing of it is in memory. Where a number lies
// is a row's place and, for all rows alike, a tap's place from there.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/fit/divide.h"
#include "cuda/fit/training_plan.h"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {

// x as the rows of a phase read it.
struct PhaseInput {
  const float* x;       // the first group's first channel of the first image
  int64_t image_floats;
  int32_t h, w, c;      // c: floats from a pixel to the next
  int32_t channels;     // of a group
  TrainingPhase phase;
  Divider by_outputs, by_width, by_channels, by_taps_x;
};

// What a row makes.
struct OutputPixel {
  int32_t image, oy, ox;
};

// Rows are below 2^31 (is_countable).
__device__ inline OutputPixel find_pixel(const PhaseInput& in, int row) {
  const int image = in.by_outputs.divide(row), pixel = row - image * in.phase.outputs();
  const int oy = in.by_width.divide(pixel);
  return {image, oy, pixel - oy * in.phase.x.out};
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
__device__ inline Place find_place(const PhaseInput& in, const OutputPixel& at, int group) {
  const int y = at.oy * in.phase.y.step, x = at.ox * in.phase.x.step;
  const float* from =
      in.x + at.image * in.image_floats + (int64_t{y} * in.w + x) * in.c + int64_t{group} * in.channels;
  return {made(from), y, x};
}

// A column: a tap and a channel.
struct alignas(16) Tap {
  int32_t y, x, offset;  // from a row's place
  int32_t weight;        // where it lies in the weight; below 0: there are not so many columns
};
constexpr int kOutside = -(1 << 30);  // any map; twice it is an int too

__device__ inline Tap find_tap(const PhaseInput& in, int column, int columns, int tap_step, int channel_step) {
  if (column >= columns) return {kOutside, kOutside, 0, -1};
  const int tap = in.by_channels.divide(column), channel = column - tap * in.channels;
  const int ty = in.by_taps_x.divide(tap), tx = tap - ty * in.phase.x.taps;
  const int y = ty * in.phase.y.dir + in.phase.y.base, x = tx * in.phase.x.dir + in.phase.x.base;
  return {y, x, (y * in.w + x) * in.c + channel, in.phase.weight_tap(ty, tx) * tap_step + channel * channel_step};
}

// Whether the map has what a row reads with a tap: else it is padding.
__device__ inline bool reaches(const PhaseInput& in, const Place& place, const Tap& tap) {
  const bool y = static_cast<unsigned>(place.y + tap.y) < static_cast<unsigned>(in.h);
  const bool x = static_cast<unsigned>(place.x + tap.x) < static_cast<unsigned>(in.w);
  return y & x;  // without a branch
}

inline PhaseInput make_phase_input(const TrainingMap& x, const TrainingPhase& phase, int first_channel,
                                   int channels) {
  const TrainingValue& v = *x.value;
  return {x.data + first_channel, v.floats(), v.h, v.w, v.c, channels, phase,
          make_divider(phase.outputs()), make_divider(phase.x.out), make_divider(channels),
          make_divider(std::max(1, phase.x.taps))};
}

// Whether four neighbouring channels can be read at once.
inline bool is_vector(const PhaseInput& in) {
  return is_vector_aligned(in.x) && in.c % 4 == 0 && in.channels % 4 == 0;
}

}  // namespace facegen::cuda
