#include "cuda/training/thin_maps.h"

#include <algorithm>

#include "cuda/training/launch.cuh"
#include "cuda/training/operands.cuh"

namespace facegen::cuda {
namespace {

using hopper::GatherAxis;
using hopper::GatherMap;

constexpr int64_t kMostGatherBlocks = 4096;
static_assert(hopper::kMostGathered / 8 <= kBlockThreads, "a block makes a pixel's columns");

struct Gathering {
  GatherMap gather;
  const float* from;
  int32_t h, w, c;
  OperandTarget to;
};

// A thread makes the same 8 neighbouring columns of some pixels: what these read is found once.
__global__ void __launch_bounds__(kBlockThreads) gather_kernel(const __grid_constant__ Gathering g, int64_t pixels) {
  const GatherAxis &gy = g.gather.y, &gx = g.gather.x;
  const int taps = gy.taps * gx.taps, runs = g.to.pitch / 8, together = kBlockThreads / runs;
  const int run = static_cast<int>(threadIdx.x) % runs, first = static_cast<int>(threadIdx.x) / runs;
  if (first >= together) return;
  int from_y[8], from_x[8], at[8];
#pragma unroll
  for (int e = 0; e < 8; ++e) {
    const int column = run * 8 + e;
    const int tap = g.gather.channel_first ? column % taps : column / g.c;
    const int channel = g.gather.channel_first ? column / taps : column - tap * g.c;
    const int ky = tap / gx.taps;
    // Else what is read is outside, of any pixel.
    const bool exists = column < taps * g.c && gy.offsets[ky] > hopper::kNowhere &&
                        gx.offsets[tap - ky * gx.taps] > hopper::kNowhere;
    from_y[e] = exists ? gy.offsets[ky] : -g.h - gy.size * gy.scale;
    from_x[e] = exists ? gx.offsets[tap - ky * gx.taps] : 0;
    at[e] = (from_y[e] * g.w + from_x[e]) * g.c + channel;
  }
  for (int64_t pixel = int64_t{blockIdx.x} * together + first; pixel < pixels; pixel += int64_t{gridDim.x} * together) {
    const int64_t row = pixel / gx.size, image = row / gy.size;
    const int x = static_cast<int>(pixel - row * gx.size) * gx.scale;
    const int y = static_cast<int>(row - image * gy.size) * gy.scale;
    const float* const from = g.from + (image * g.h * g.w + y * g.w + x) * g.c;
    float v[8];
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      const bool inside = static_cast<unsigned>(y + from_y[e]) < static_cast<unsigned>(g.h) &&
                          static_cast<unsigned>(x + from_x[e]) < static_cast<unsigned>(g.w);
      v[e] = inside ? from[at[e]] : 0.0f;
    }
    store_operands(g.to, pixel * g.to.pitch + run * 8, v);
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
    last = min(axis.taps, room < 0 ? 0 : (apart == 1 ? room : room / apart) + 1);
    at = begin + first * axis.dir;
  }
};

// A block has neighbouring numbers of an image.
__global__ void __launch_bounds__(kBlockThreads) scatter_kernel(const __grid_constant__ Scatter s, int blocks_an_image) {
  const int image = static_cast<int>(blockIdx.x) / blocks_an_image;
  const int i = static_cast<int>(blockIdx.x) % blocks_an_image * kBlockThreads + static_cast<int>(threadIdx.x);
  const int pixel = i / s.channels, channel = i - pixel * s.channels;
  const int qy = pixel / s.y_w, qx = pixel - qy * s.y_w;
  if (qy >= s.y_h) return;
  const int oy = qy / s.step_y, ox = qx / s.step_x;
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
    for (int ty = y.first; ty < y.last; ++ty, row += to_row) {
      const float* from = row;
      for (int tx = x.first; tx < x.last; ++tx, from += to_tap) {
        for (int part = 0; part < s.splits; ++part) sum += from[part * s.part_floats];
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
  gather_kernel<<<grid(std::min(blocks, kMostGatherBlocks)), kBlockThreads, 0, stream>>>(
      {gather, from.data, v.h, v.w, v.c, to}, pixels);
  FACEGEN_CUDA_CHECK_LAUNCH("the taps of a map");
}

void run_scatter(const Scatter& s, int64_t images, cudaStream_t stream) {
  const int64_t of_image = divide_up(int64_t{s.y_h} * s.y_w * s.channels, int64_t{kBlockThreads});
  scatter_kernel<<<grid(images * of_image), kBlockThreads, 0, stream>>>(s, static_cast<int>(of_image));
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of a map's taps");
}

}  // namespace facegen::cuda
