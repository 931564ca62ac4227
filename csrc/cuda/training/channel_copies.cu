// Copies of some channels of a map to some of another, as concatenations and their gradients are, with what they
// do on the way: see cuda/fit/fused_plan.h.
#include <algorithm>
#include <cstdint>

#include "cuda/fit/divide.h"
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"
#include "cuda/training/pixels.cuh"
#include "cuda/training/ramp.cuh"

namespace facegen::cuda {
namespace {

struct CopyArguments {
  const float* x;
  float* y;
  int32_t x_c, y_c, channels, first_x, first_y;
  float scale, shift;
  bool accumulate;
  const float* gate;  // as y; null: there is none
  Ramp ramp;
  OperandTarget operand;  // of y
};

// Of vectors of pixels; kZeros: of all of y's channels, which are 0 but for those that are copied. A block has
// kCopyTogether of each thread's.
constexpr int kCopyTogether = 4;
template <int kVector, bool kZeros>
__global__ void __launch_bounds__(kBlockThreads)
    copy_kernel(const __grid_constant__ CopyArguments a, const __grid_constant__ Divider by_pixel, int vectors,
                int count) {
  const int first = static_cast<int>(gridDim.x - 1 - blockIdx.x) * kCopyTogether * kBlockThreads +
                    static_cast<int>(threadIdx.x);
  Numbers<kVector> v[kCopyTogether], gate[kCopyTogether];
  int pixels[kCopyTogether], channels[kCopyTogether];  // of y
#pragma unroll
  for (int k = 0; k < kCopyTogether; ++k) {
    const int i = first + k * kBlockThreads;
    if (i >= count) continue;
    pixels[k] = by_pixel.divide(i);
    const int at = (i - pixels[k] * vectors) * kVector, c = kZeros ? at - a.first_y : at;
    channels[k] = kZeros ? at : a.first_y + c;
    if (kZeros && (c < 0 || c >= a.channels)) {
      v[k] = {};
      continue;
    }
    v[k] = load_numbers<kVector>(a.x + int64_t{pixels[k]} * a.x_c + a.first_x + c);
    if (a.gate != nullptr) gate[k] = load_numbers<kVector>(a.gate + int64_t{pixels[k]} * a.y_c + channels[k]);
#pragma unroll
    for (int e = 0; e < kVector; ++e) v[k].v[e] = fmaf(a.scale, v[k].v[e], a.shift);
  }
#pragma unroll
  for (int k = 0; k < kCopyTogether; ++k) {
    if (first + k * kBlockThreads >= count) continue;
    float* const to = a.y + int64_t{pixels[k]} * a.y_c + channels[k];
    if (a.gate != nullptr) {
#pragma unroll
      for (int e = 0; e < kVector; ++e) v[k].v[e] = a.ramp.gradient(gate[k].v[e], v[k].v[e]);
    }
    if (a.accumulate) {
      const Numbers<kVector> old = load_numbers<kVector>(to);
#pragma unroll
      for (int e = 0; e < kVector; ++e) v[k].v[e] = old.v[e] + v[k].v[e];
    }
    if (!a.operand.alone) store_numbers(to, v[k]);
    if (a.operand.to != nullptr) {
      write_operand(a.operand, int64_t{pixels[k]} * a.operand.pitch + channels[k], v[k]);
    }
  }
}

template <int kVector>
void copy(CopyArguments a, int64_t pixels, bool zero_rest, cudaStream_t stream) {
  const int32_t vectors = (zero_rest ? a.y_c : a.channels) / kVector;
  const Divider by_pixel = make_divider(vectors);
  const auto kernel = zero_rest ? copy_kernel<kVector, true> : copy_kernel<kVector, false>;
  // As many pixels at once as 31 bits count.
  const int64_t most = (int64_t{1} << 30) / vectors;
  while (pixels > 0) {
    const int64_t count = std::min(pixels, most) * vectors;
    kernel<<<grid(divide_up(count, int64_t{kCopyTogether} * kBlockThreads)), kBlockThreads, 0, stream>>>(
        a, by_pixel, vectors, static_cast<int>(count));
    FACEGEN_CUDA_CHECK_LAUNCH("a copy");
    pixels -= most, a.x += most * a.x_c, a.y += most * a.y_c;
    if (a.gate != nullptr) a.gate += most * a.y_c;
    if (a.operand.to != nullptr) a.operand.to += most * a.operand.pitch;
  }
}

// All of y and of the gate, four channels at a time, and their sums over pixels. Rows are walked from the last
// on: what the kernel before has written last is still in the cache.
constexpr int kRowsTogether = 2, kSumBlocks = 4;
__global__ void __launch_bounds__(kWalkThreads, kSumBlocks)
    copy_sums_kernel(const __grid_constant__ RowWalk walk, const __grid_constant__ CopyArguments a,
                     const __grid_constant__ WriteMean finish, double* parts, uint32_t* arrivals) {
  __shared__ double shared[kWalkThreads];
  static_assert(kRunRows % kRowsTogether == 0);
  const RowWalk::Place at = walk.place(blockIdx.x, threadIdx.x);
  double sum[1][4] = {};
  if (at.channel < walk.channels) {
    const int step = walk.step();
    for (int run = walk.runs - 1 - at.split; run >= 0; run -= walk.splits) {
#pragma unroll
      for (int done = 0; done < kRunRows; done += kRowsTogether) {
        const int64_t first = int64_t{run} * walk.run_rows() + done * step + at.row;
        const int rows = walk.rows_from(first);
        Numbers<4> v[kRowsTogether], gate[kRowsTogether];
#pragma unroll
        for (int r = 0; r < kRowsTogether; ++r) {
          if (r * step >= rows) continue;
          v[r] = load_numbers<4>(a.x + (first + r * step) * a.x_c + a.first_x + at.channel);
          gate[r] = load_numbers<4>(a.gate + (first + r * step) * a.y_c + at.channel);
        }
#pragma unroll
        for (int r = 0; r < kRowsTogether; ++r) {
          if (r * step >= rows) continue;
          const int64_t row = first + r * step;
#pragma unroll
          for (int e = 0; e < 4; ++e) {
            v[r].v[e] = a.ramp.gradient(gate[r].v[e], v[r].v[e]);
            sum[0][e] += static_cast<double>(v[r].v[e]);
          }
          if (!a.operand.alone) store_numbers(a.y + row * a.y_c + at.channel, v[r]);
          if (a.operand.to != nullptr) write_operand(a.operand, row * a.operand.pitch + at.channel, v[r]);
        }
      }
    }
  }
  finish_sums(walk, at, sum, shared, finish, parts, arrivals);
}

}  // namespace

void run_copy(const TrainingCall& call) {
  const TrainingStep& s = call.step;
  CopyArguments a = {call.x.data, call.y.data, call.x.value->c, call.y.value->c,    s.channels, s.first_x,
                     s.first_y,   s.scale,     s.shift,         s.accumulate,       nullptr,    {1.0f},
                     call.operand};
  if (call.gate != nullptr) {
    a.gate = call.gate_map.data;
    a.ramp = make_ramp(call.gate->activation, call.gate->alpha);
  }
  int64_t pixels = call.images * call.y.value->pixels();
  if (call.bias_gradient != nullptr) {
    const RowWalk walk = plan_column_sums(1, pixels, a.y_c, 4);
    copy_sums_kernel<<<grid(walk.blocks()), kWalkThreads, 0, call.stream>>>(
        walk, a, {call.bias_gradient, a.y_c, 1.0, false}, reinterpret_cast<double*>(call.scratch), call.arrivals);
    FACEGEN_CUDA_CHECK_LAUNCH("a copy and its sums");
    return;
  }
  // A whole map is numbers without pixels: as many together as can be read at once.
  if (a.channels == a.x_c && a.channels == a.y_c) {
    const int32_t together = pixels * a.channels % 4 == 0 ? 4 : 1;
    pixels = pixels * a.channels / together;
    a.channels = a.x_c = a.y_c = a.operand.pitch = together;  // an operand has nothing behind the channels
  }
  const int64_t parts = a.channels | a.x_c | a.y_c | a.first_x | a.first_y;  // of 4 each
  comes_in_fours(parts, {a.x, a.y, a.gate}) ? copy<4>(a, pixels, s.zero_rest, call.stream)
                                            : copy<1>(a, pixels, s.zero_rest, call.stream);
}

}  // namespace facegen::cuda
