#include "cuda/training/thin_maps.h"

#include <algorithm>

#include "cuda/fit/divide.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/numbers.cuh"
#include "cuda/training/operands.cuh"

namespace facegen::cuda {
namespace {

using hopper::GatherAxis;
using hopper::GatherMap;

// As many as are at work at once: what a block finds out before its first pixel takes as long as some pixels.
constexpr int64_t kMostGatherBlocks = 1024;
static_assert(hopper::kMostGathered / 8 <= kBlockThreads, "a block makes a pixel's columns");

struct Gathering {
  GatherMap gather;
  const float* from;
  int32_t h, w, c;
  OperandTarget to;
  Divider by_width, by_height;  // of the gathered map
  Divider by_taps, by_taps_x, by_channels, by_runs;
};

// Where a column reads, from a pixel's place.
struct Column {
  int32_t y, x, at;
};
__device__ inline Column find_column(const Gathering& g, int column) {
  const GatherAxis &gy = g.gather.y, &gx = g.gather.x;
  const int taps = gy.taps * gx.taps;
  int tap, channel;
  if (g.gather.channel_first) {
    channel = g.by_taps.divide(column), tap = column - channel * taps;
  } else {
    tap = g.by_channels.divide(column), channel = column - tap * g.c;
  }
  const int ky = g.by_taps_x.divide(tap);
  // Else what is read is outside, of any pixel.
  const bool exists = column < taps * g.c && gy.offsets[ky] > hopper::kNowhere &&
                      gx.offsets[tap - ky * gx.taps] > hopper::kNowhere;
  Column found = {-g.h - gy.size * gy.scale, 0, 0};
  if (exists) found.y = gy.offsets[ky], found.x = gx.offsets[tap - ky * gx.taps];
  found.at = (found.y * g.w + found.x) * g.c + channel;
  return found;
}

// A thread makes the same 8 neighbouring columns of some pixels: what these read is found once. kRun: it is 8
// neighbouring channels.
template <bool kRun>
__global__ void __launch_bounds__(kBlockThreads) gather_kernel(const __grid_constant__ Gathering g, int pixels) {
  const GatherAxis &gy = g.gather.y, &gx = g.gather.x;
  const int runs = g.to.pitch / 8, together = g.by_runs.divide(kBlockThreads);
  const int first = g.by_runs.divide(static_cast<int>(threadIdx.x));
  const int run = static_cast<int>(threadIdx.x) - first * runs;
  if (first >= together) return;
  constexpr int kColumns = kRun ? 1 : 8;
  Column columns[kColumns];
#pragma unroll
  for (int e = 0; e < kColumns; ++e) columns[e] = find_column(g, run * 8 + e);
  const int step = static_cast<int>(gridDim.x) * together;
  for (int pixel = static_cast<int>(blockIdx.x) * together + first; pixel < pixels; pixel += step) {
    const int row = g.by_width.divide(pixel), image = g.by_height.divide(row);
    const int x = (pixel - row * gx.size) * gx.scale, y = (row - image * gy.size) * gy.scale;
    const float* const from = g.from + (int64_t{image} * g.h * g.w + y * g.w + x) * g.c;
    const auto reads = [&](const Column& c) {
      const bool in_y = static_cast<unsigned>(y + c.y) < static_cast<unsigned>(g.h);
      const bool in_x = static_cast<unsigned>(x + c.x) < static_cast<unsigned>(g.w);
      return in_y & in_x;  // without a branch
    };
    float v[8];
    if constexpr (kRun) {
      Numbers<4> halves[2] = {};
      if (reads(columns[0])) {
        halves[0] = load_numbers<4>(from + columns[0].at);
        halves[1] = load_numbers<4>(from + columns[0].at + 4);
      }
#pragma unroll
      for (int e = 0; e < 8; ++e) v[e] = halves[e / 4].v[e % 4];
    } else {
#pragma unroll
      for (int e = 0; e < 8; ++e) v[e] = reads(columns[e]) ? from[columns[e].at] : 0.0f;
    }
    store_operands(g.to, int64_t{pixel} * g.to.pitch + run * 8, v);
  }
}

// Taps of an axis of a phase, for its output o, that read inside a map of so many.
struct TapRange {
  int first, last, at;  // before `last`; at: where the first reads
  __device__ TapRange(const Axis& axis, int o, int size) {
    const int begin = o * axis.step + axis.base, apart = abs(axis.dir);
    const int outside = axis.dir > 0 ? -begin : begin - size + 1;  // pixels before the map, on the way
    const int room = axis.dir > 0 ? size - 1 - begin : begin;      // to its last
    first = outside <= 0 ? 0 : apart == 1 ? outside : (outside + apart - 1) / apart;
    const int inside = room < 0 ? 0 : (apart == 1 ? room : room / apart) + 1;
    last = max(first, min(axis.taps, inside));  // far outside there are none
    at = begin + first * axis.dir;
  }
};

constexpr int kScatterTogether = 4;  // numbers that a thread reads at once

struct ScatterDividers {
  Divider by_blocks, by_channels, by_width, by_step_y, by_step_x;
};

// A block has neighbouring numbers of an image.
__global__ void __launch_bounds__(kBlockThreads)
    scatter_kernel(const __grid_constant__ Scatter s, const __grid_constant__ ScatterDividers dividers,
                   int blocks_an_image) {
  const int block = static_cast<int>(blockIdx.x), image = dividers.by_blocks.divide(block);
  const int i = (block - image * blocks_an_image) * kBlockThreads + static_cast<int>(threadIdx.x);
  const int pixel = dividers.by_channels.divide(i), channel = i - pixel * s.channels;
  const int qy = dividers.by_width.divide(pixel), qx = pixel - qy * s.y_w;
  if (qy >= s.y_h) return;
  const int oy = dividers.by_step_y.divide(qy), ox = dividers.by_step_x.divide(qx);
  float sum = 0.0f;
  if (const int p = s.phase_at[qy - oy * s.step_y][qx - ox * s.step_x]; p >= 0) {
    const TrainingPhase& phase = s.phases[p];
    const TapRange y(phase.y, oy, s.h), x(phase.x, ox, s.w);
    const int pitch = s.channel_first ? 1 : s.channels;  // from a tap's number of the channel to the next's
    const int to_row = phase.y.dir * s.w * s.columns + phase.y.tap_step * phase.kernel_w * pitch;
    const int to_tap = phase.x.dir * s.columns + phase.x.tap_step * pitch;
    const int tap = (phase.y.first_tap + y.first * phase.y.tap_step) * phase.kernel_w + phase.x.first_tap +
                    x.first * phase.x.tap_step;
    const float* row = s.parts + (int64_t{image} * s.h * s.w + y.at * s.w + x.at) * s.columns + tap * pitch +
                       (s.channel_first ? channel * s.taps : channel);
    // Tap by tap, and of each all parts: several are read before they are added up.
    const float* from = row;
    const int columns = x.last - x.first;
    int tx = 0, part = 0;
    for (int left = (y.last - y.first) * columns * s.splits; left > 0; left -= kScatterTogether) {
      float v[kScatterTogether];
#pragma unroll
      for (int k = 0; k < kScatterTogether; ++k) {
        v[k] = k < left ? from[part * s.part_floats] : 0.0f;
        if (++part < s.splits) continue;
        part = 0;
        from += to_tap;
        if (++tx < columns) continue;
        tx = 0;
        from = row += to_row;
      }
#pragma unroll
      for (int k = 0; k < kScatterTogether; ++k) {
        if (k < left) sum += v[k];
      }
    }
  }
  if (s.bias != nullptr) sum += s.bias[channel];
  float& to = s.y[int64_t{image} * s.y_h * s.y_w * s.channels + i];
  if (s.accumulate) sum += to;
  to = activate(sum, s.activation, s.alpha);
}

}  // namespace

void run_gather(const TrainingMap& from, const GatherMap& gather, int64_t images, const OperandTarget& to,
                cudaStream_t stream) {
  const TrainingValue& v = *from.value;
  const int64_t pixels = images * gather.y.size * gather.x.size;
  const int64_t blocks = divide_up(pixels, int64_t{kBlockThreads / (to.pitch / 8)});
  const Gathering g = {gather, from.data, v.h, v.w, v.c, to, make_divider(gather.x.size), make_divider(gather.y.size),
                       make_divider(gather.y.taps * gather.x.taps), make_divider(gather.x.taps), make_divider(v.c),
                       make_divider(to.pitch / 8)};
  const bool run = !gather.channel_first && v.c % 8 == 0 && is_vector_aligned(from.data);
  const auto kernel = run ? gather_kernel<true> : gather_kernel<false>;
  kernel<<<grid(std::min(blocks, kMostGatherBlocks)), kBlockThreads, 0, stream>>>(g, static_cast<int>(pixels));
  FACEGEN_CUDA_CHECK_LAUNCH("the taps of a map");
}

void run_scatter(const Scatter& s, int64_t images, cudaStream_t stream) {
  const auto of_image =
      static_cast<int>(divide_up(int64_t{s.y_h} * s.y_w * s.channels, int64_t{kBlockThreads}));
  const ScatterDividers dividers = {make_divider(of_image), make_divider(s.channels), make_divider(s.y_w),
                                    make_divider(s.step_y), make_divider(s.step_x)};
  scatter_kernel<<<grid(images * of_image), kBlockThreads, 0, stream>>>(s, dividers, of_image);
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of a map's taps");
}

}  // namespace facegen::cuda
