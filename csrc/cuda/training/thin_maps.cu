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

__global__ void __launch_bounds__(kBlockThreads) scatter_kernel(const __grid_constant__ Scatter s, int64_t count) {
  for_each_number(count, [&](int64_t i) {
    const int64_t pixel = i / s.channels;
    const int channel = static_cast<int>(i - pixel * s.channels);
    const int64_t row = pixel / s.y_w, image = row / s.y_h;
    const int qx = static_cast<int>(pixel - row * s.y_w), qy = static_cast<int>(row - image * s.y_h);
    const float* const of_image = s.parts + image * s.h * s.w * s.columns;
    float sum = 0.0f;
    const int ry = qy % s.step_y, rx = qx % s.step_x;
    const int p = s.phase_at[ry][rx];
    if (p >= 0) {
      const TrainingPhase& phase = s.phases[p];
      const int oy = qy / s.step_y, ox = qx / s.step_x;
      const int across = phase.x.taps;
      int iy = phase.input_y(oy, 0);
      for (int ty = 0; ty < phase.y.taps; ++ty, iy += phase.y.dir) {
        if (iy < 0 || iy >= s.h) continue;
        int ix = phase.input_x(ox, 0);
        for (int tx = 0; tx < across; ++tx, ix += phase.x.dir) {
          if (ix < 0 || ix >= s.w) continue;
          const int tap = phase.weight_tap(ty * across + tx);
          const int column = s.channel_first ? channel * s.taps + tap : tap * s.channels + channel;
          const float* from = of_image + int64_t{iy * s.w + ix} * s.columns + column;
          for (int part = 0; part < s.splits; ++part, from += s.part_floats) sum += *from;
        }
      }
    }
    if (s.bias != nullptr) sum += s.bias[channel];
    if (s.accumulate) sum += s.y[i];
    s.y[i] = activate(sum, s.activation, s.alpha);
  });
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
  const int64_t count = images * s.y_h * s.y_w * s.channels;
  scatter_kernel<<<grid_of(count), kBlockThreads, 0, stream>>>(s, count);
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of a map's taps");
}

}  // namespace facegen::cuda
