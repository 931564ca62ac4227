// What is done number by number: activations, dropout.
#include <algorithm>
#include <cstdint>

#include "cuda/runtime/error.h"
#include "cuda/training/activation_gradient.cuh"
#include "cuda/training/call.h"
#include "cuda/training/pixels.cuh"
#include "cuda/training/ramp.cuh"
#include "philox.h"

namespace facegen::cuda {
namespace {

template <bool kRamp>
struct Activate {
  static constexpr int kMaps = 1, kTogether = kRamp ? kRunRows : 1, kBlocks = 4;
  const float* maps[kMaps];  // x
  Activation activation;
  float alpha, limit;
  Ramp ramp;

  template <int kVector>
  struct Lane : MapsLane<Activate, kVector> {
    using MapsLane<Activate, kVector>::MapsLane;
    __device__ Numbers<kVector> make(const Numbers<kVector> (&v)[1]) const {
      const Activate& all = this->all;
      Numbers<kVector> y;
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const float x = v[0].v[e];
        y.v[e] = kRamp ? all.ramp.apply(x) : activate_one(x, all.activation, all.alpha, all.limit);
      }
      return y;
    }
  };
};

// Maps: the activation's output, or input, and its gradient.
template <bool kRamp>
struct ActivateGradient {
  static constexpr int kMaps = 2, kTogether = kRamp ? 2 : 1, kBlocks = 4;
  const float* maps[kMaps];
  Activation activation;
  float alpha, limit;
  Ramp ramp;

  template <int kVector>
  struct Lane : MapsLane<ActivateGradient, kVector> {
    using MapsLane<ActivateGradient, kVector>::MapsLane;
    __device__ Numbers<kVector> make(const Numbers<kVector> (&v)[2]) const {
      const ActivateGradient& all = this->all;
      Numbers<kVector> dx;
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const float of = v[0].v[e], dy = v[1].v[e];
        dx.v[e] = kRamp ? all.ramp.gradient(of, dy)
                        : activation_gradient(all.activation, all.alpha, all.limit, of, dy);
      }
      return dx;
    }
  };
};

// Lines of a map: its pixels, if an operand has something behind each. Else all its numbers, cut so that
// threads have four each.
struct Lines {
  int64_t count;
  int32_t channels;
  OperandTarget operand;
  int32_t vector;
};
Lines lines_of(const TrainingCall& call, std::initializer_list<const TrainingValue*> maps) {
  const TrainingValue& value = **maps.begin();
  const int64_t numbers = call.images * value.floats();
  Lines lines = {numbers / value.c, value.c, call.operand, 1};
  if (call.operand.to == nullptr || call.operand.pitch == value.c) {
    lines.channels = 128;
    while (numbers % lines.channels != 0) lines.channels /= 2;
    lines.count = numbers / lines.channels;
    lines.operand.pitch = lines.channels;
  }
  lines.vector = vector_of(lines.channels, maps);
  return lines;
}

template <bool kRamp>
void activate(const TrainingCall& call) {
  const TrainingStep& s = call.step;
  const Lines lines = lines_of(call, {call.y.value, call.x.value});
  make_pixels(Activate<kRamp>{{call.x.data}, s.activation, s.alpha, s.limit, make_ramp(s.activation, s.alpha)},
              {call.y.data, lines.channels, false, lines.operand}, 1, lines.count, lines.vector, call.stream);
}

template <bool kRamp>
void activate_gradient(const TrainingCall& call) {
  const TrainingStep& s = call.step;
  const Lines lines = lines_of(call, {call.dx.value, call.dy.value, call.y.value});
  make_pixels(ActivateGradient<kRamp>{{call.y.data, call.dy.data}, s.activation, s.alpha, s.limit,
                                       make_ramp(s.activation, s.alpha)},
              {call.dx.data, lines.channels, s.accumulate, lines.operand}, 1, lines.count, lines.vector,
              call.stream);
}

__global__ void __launch_bounds__(kBlockThreads)
    spread_kernel(const float* dy, float* dx, int64_t count, int64_t image_floats, int channels, float share,
                  bool accumulate) {
  for_each_number(count, [&](int64_t i) {
    put(dx[i], dy[i / image_floats * channels + i % channels] * share, accumulate);
  });
}

struct DropoutArguments {
  const float* x;
  float* y;
  int64_t count;
  int64_t first;  // numbers of the batch before the part's
  const StepNumbers* numbers;
  uint32_t stream, threshold;
  float scale;
  bool accumulate;
};

// The draws of numbers 4 i to 4 i + 3 are the words of place i.
__global__ void __launch_bounds__(kBlockThreads) dropout_kernel(const __grid_constant__ DropoutArguments a) {
  const PhiloxKey key = philox_key(a.numbers->seed, a.stream);
  const uint64_t step = a.numbers->step;
  const int64_t first_four = a.first / 4, before = a.first % 4;  // of the first four
  for_each_number((before + a.count + 3) / 4, [&](int64_t four) {
    uint32_t words[4];
    philox(static_cast<uint64_t>(first_four + four), step, key, words);
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const int64_t i = 4 * four + word - before;
      if (i >= 0 && i < a.count) put(a.y[i], words[word] < a.threshold ? 0.0f : a.x[i] * a.scale, a.accumulate);
    }
  });
}

}  // namespace

void run_activate(const TrainingCall& call) {
  is_ramp(call.step.activation) ? activate<true>(call) : activate<false>(call);
}

void run_activate_gradient(const TrainingCall& call) {
  is_ramp(call.step.activation) ? activate_gradient<true>(call) : activate_gradient<false>(call);
}

void run_global_avg_pool_gradient(const TrainingCall& call) {
  const TrainingValue& dx = *call.dx.value;
  const int64_t count = call.images * dx.floats();
  spread_kernel<<<grid_of(count), kBlockThreads, 0, call.stream>>>(
      call.dy.data, call.dx.data, count, dx.floats(), dx.c, 1.0f / static_cast<float>(dx.pixels()),
      call.step.accumulate);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a mean");
}

void run_dropout(const TrainingCall& call) {
  const auto share = static_cast<double>(call.step.share);
  const DropoutArguments a = {call.x.data,
                              call.y.data,
                              call.images * call.x.value->floats(),
                              call.part.first * call.x.value->floats(),
                              call.numbers,
                              static_cast<uint32_t>(call.step.stream),
                              static_cast<uint32_t>(share * 4294967296.0),
                              static_cast<float>(1.0 / (1.0 - share)),
                              call.step.accumulate};
  dropout_kernel<<<grid_of(divide_up(a.first % 4 + a.count, int64_t{4})), kBlockThreads, 0, call.stream>>>(a);
  FACEGEN_CUDA_CHECK_LAUNCH("dropout");
}

}  // namespace facegen::cuda
