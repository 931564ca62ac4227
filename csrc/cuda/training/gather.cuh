// The im2col matrix of a phase, read from where its maps lie: nothing of it is in memory.
#pragma once

#include <cstdint>

#include "cuda/fit/training_plan.h"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {

// Numbers of a row, one after another, that a thread fetches.
constexpr int kFetch = 16;

struct Gather {
  const float* x;       // the first group's first channel of the first image
  int64_t image_floats;
  int32_t h, w, c;      // c: floats from a pixel to the next
  int32_t channels;     // of a group
  TrainingPhase phase;
};

// Where a row reads; no image: nowhere.
struct Place {
  const float* image;
  int32_t oy, ox;
};

struct Position {
  int64_t image;
  int32_t oy, ox;
};

// Rows are below 2^31 (is_countable).
__device__ inline Position find_position(const TrainingPhase& phase, int64_t row) {
  const auto r = static_cast<uint32_t>(row);
  const auto outputs = static_cast<uint32_t>(phase.outputs()), width = static_cast<uint32_t>(phase.x.out);
  const uint32_t image = r / outputs, pixel = r % outputs;
  return {image, static_cast<int32_t>(pixel / width), static_cast<int32_t>(pixel % width)};
}

__device__ inline Place find_place(const Gather& g, int group, int64_t row, int64_t rows) {
  if (row >= rows) return {nullptr, 0, 0};
  const Position at = find_position(g.phase, row);
  return {g.x + at.image * g.image_floats + int64_t{group} * g.channels, at.oy, at.ox};
}

// The pixel below a tap, or null: padding, a tap too many, no row.
__device__ inline const float* find_pixel(const Gather& g, const Place& place, int tap) {
  if (place.image == nullptr || tap >= g.phase.taps()) return nullptr;
  const int iy = g.phase.input_y(place.oy, tap), ix = g.phase.input_x(place.ox, tap);
  if (iy < 0 || iy >= g.h || ix < 0 || ix >= g.w) return nullptr;
  return place.image + (int64_t{iy} * g.w + ix) * g.c;
}

// v = kFetch numbers of runs of `channels`, from number k of all runs on; start(run) is where a run lies, or
// null for zeros. kVector: runs are whole float4s, at multiples of 16 bytes, and k is a multiple of 4.
template <bool kVector, class Start>
__device__ inline void fetch_runs(int k, int channels, const Start& start, float (&v)[kFetch]) {
  int run = k / channels, channel = k - run * channels;
  const float* from = start(run);
  constexpr int kStep = kVector ? 4 : 1;
#pragma unroll
  for (int i = 0; i < kFetch; i += kStep) {
    if (channel >= channels) {
      channel = 0;
      from = start(++run);
    }
    if constexpr (kVector) {
      const float4 f = from == nullptr ? make_float4(0.0f, 0.0f, 0.0f, 0.0f)
                                       : *reinterpret_cast<const float4*>(from + channel);
      v[i] = f.x, v[i + 1] = f.y, v[i + 2] = f.z, v[i + 3] = f.w;
    } else {
      v[i] = from == nullptr ? 0.0f : from[channel];
    }
    channel += kStep;
  }
}

// kFetch neighbouring numbers, those from `count` on zeros.
template <bool kVector>
__device__ inline void fetch_line(const float* from, int count, float (&v)[kFetch]) {
  constexpr int kStep = kVector ? 4 : 1;
#pragma unroll
  for (int i = 0; i < kFetch; i += kStep) {
    if constexpr (kVector) {
      const float4 f = i < count ? *reinterpret_cast<const float4*>(from + i)
                                 : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
      v[i] = f.x, v[i + 1] = f.y, v[i + 2] = f.z, v[i + 3] = f.w;
    } else {
      v[i] = i < count ? from[i] : 0.0f;
    }
  }
}

inline Gather make_gather(const TrainingMap& x, const TrainingPhase& phase, int first_channel,
                          int channels) {
  const TrainingValue& v = *x.value;
  return {x.data + first_channel, v.floats(), v.h, v.w, v.c, channels, phase};
}

inline bool is_vector(const Gather& g) {
  return is_vector_aligned(g.x) && g.c % 4 == 0 && g.channels % 4 == 0;
}

}  // namespace facegen::cuda
