// What is done number by number: activations, copies, dropout.
#include <cstdint>

#include "cuda/runtime/error.h"
#include "cuda/training/activation_gradient.cuh"
#include "cuda/training/call.h"
#include "cuda/training/pixels.cuh"
#include "cuda/training/ramp.cuh"

namespace facegen::cuda {
namespace {

template <bool kRamp>
struct Activate {
  static constexpr int kMaps = 1, kTogether = kRamp ? kRunRows : 1, kBlocks = 4;
  const float* x;
  Activation activation;
  float alpha, limit;
  Ramp ramp;

  template <int kVector>
  struct Lane {
    const Activate& all;
    __device__ Lane(const Activate& a, int64_t, int) : all(a) {}
    __device__ void read(int64_t i, Numbers<kVector> (&v)[1]) const { v[0] = load_numbers<kVector>(all.x + i); }
    __device__ Numbers<kVector> make(const Numbers<kVector> (&v)[1]) const {
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

// Reads the activation's output, or input, and its gradient.
template <bool kRamp>
struct ActivateGradient {
  static constexpr int kMaps = 2, kTogether = kRamp ? 2 : 1, kBlocks = 4;
  const float *v, *dy;
  Activation activation;
  float alpha, limit;
  Ramp ramp;

  template <int kVector>
  struct Lane {
    const ActivateGradient& all;
    __device__ Lane(const ActivateGradient& a, int64_t, int) : all(a) {}
    __device__ void read(int64_t i, Numbers<kVector> (&v)[2]) const {
      v[0] = load_numbers<kVector>(all.v + i);
      v[1] = load_numbers<kVector>(all.dy + i);
    }
    __device__ Numbers<kVector> make(const Numbers<kVector> (&v)[2]) const {
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

// Lines of a map: its pixels, if a split map has something behind each. Else all its numbers, cut so that
// threads have four each.
struct Lines {
  int64_t count;
  int32_t channels;
  SplitTarget split;
  int32_t vector;
};
Lines lines_of(const TrainingCall& call, std::initializer_list<const TrainingValue*> maps) {
  const TrainingValue& value = **maps.begin();
  const int64_t numbers = call.images * value.floats();
  Lines lines = {numbers / value.c, value.c, call.split, 1};
  if (call.split.to == nullptr || call.split.pitch == value.c) {
    lines.channels = 128;
    while (numbers % lines.channels != 0) lines.channels /= 2;
    lines.count = numbers / lines.channels;
    lines.split.pitch = lines.channels;
  }
  lines.vector = vector_of(lines.channels, maps);
  return lines;
}

template <bool kRamp>
void activate(const TrainingCall& call) {
  const TrainingStep& s = call.step;
  const Lines lines = lines_of(call, {call.y.value, call.x.value});
  make_pixels(Activate<kRamp>{call.x.data, s.activation, s.alpha, s.limit, make_ramp(s.activation, s.alpha)},
              {call.y.data, lines.channels, false, lines.split}, 1, lines.count, lines.vector, call.stream);
}

template <bool kRamp>
void activate_gradient(const TrainingCall& call) {
  const TrainingStep& s = call.step;
  const Lines lines = lines_of(call, {call.dx.value, call.dy.value, call.y.value});
  make_pixels(ActivateGradient<kRamp>{call.y.data, call.dy.data, s.activation, s.alpha, s.limit,
                                      make_ramp(s.activation, s.alpha)},
              {call.dx.data, lines.channels, s.accumulate, lines.split}, 1, lines.count, lines.vector,
              call.stream);
}

__global__ void __launch_bounds__(kBlock)
    spread_kernel(const float* dy, float* dx, int64_t count, int64_t image_floats, int channels, float share,
                  bool accumulate) {
  for_each_number(count, [&](int64_t i) {
    put(dx[i], dy[i / image_floats * channels + i % channels] * share, accumulate);
  });
}

struct CopyArguments {
  const float* x;
  float* y;
  int32_t x_c, y_c, channels, first_x, first_y;
  float scale, shift;
  bool accumulate;
};

__global__ void __launch_bounds__(kBlock)
    copy_kernel(const __grid_constant__ CopyArguments a, int64_t count) {
  for_each_number(count, [&](int64_t i) {
    const int64_t pixel = i / a.channels;
    const int c = static_cast<int>(i - pixel * a.channels);
    const float v = fmaf(a.scale, a.x[pixel * a.x_c + a.first_x + c], a.shift);
    put(a.y[pixel * a.y_c + a.first_y + c], v, a.accumulate);
  });
}

// And zeros in y's other channels.
__global__ void __launch_bounds__(kBlock)
    copy_among_zeros_kernel(const __grid_constant__ CopyArguments a, int64_t count) {
  for_each_number(count, [&](int64_t i) {
    const int64_t pixel = i / a.y_c;
    const int c = static_cast<int>(i - pixel * a.y_c) - a.first_y;
    a.y[i] = c < 0 || c >= a.channels
                 ? 0.0f
                 : fmaf(a.scale, a.x[pixel * a.x_c + a.first_x + c], a.shift);
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

// Philox4x32-10, as in cpu/isa/training_rows.h: four words of numbers 4 i to 4 i + 3.
__device__ inline void philox(uint32_t (&counter)[4], uint32_t key0, uint32_t key1) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0], b = uint64_t{0xCD9E8D57} * counter[2];
    const auto next0 = static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key0;
    const auto next2 = static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key1;
    counter[1] = static_cast<uint32_t>(b);
    counter[3] = static_cast<uint32_t>(a);
    counter[0] = next0;
    counter[2] = next2;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

__global__ void __launch_bounds__(kBlock) dropout_kernel(const __grid_constant__ DropoutArguments a) {
  const uint64_t key = a.numbers->seed + uint64_t{a.stream} * 0x9E3779B97F4A7C15u, step = a.numbers->step;
  const int64_t first_four = a.first / 4, before = a.first % 4;  // of the first four
  for_each_number((before + a.count + 3) / 4, [&](int64_t four) {
    const auto place = static_cast<uint64_t>(first_four + four);
    uint32_t words[4] = {static_cast<uint32_t>(place), static_cast<uint32_t>(place >> 32),
                         static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32)};
    philox(words, static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32));
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
  spread_kernel<<<grid_of(count), kBlock, 0, call.stream>>>(
      call.dy.data, call.dx.data, count, dx.floats(), dx.c, 1.0f / static_cast<float>(dx.pixels()),
      call.step.accumulate);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of a mean");
}

void run_copy(const TrainingCall& call) {
  const TrainingStep& s = call.step;
  const TrainingValue& y = *call.y.value;
  const CopyArguments a = {call.x.data, call.y.data, call.x.value->c, y.c,       s.channels,
                           s.first_x,   s.first_y,   s.scale,         s.shift, s.accumulate};
  const int64_t pixels = call.images * y.pixels();
  if (s.zero_rest) {
    copy_among_zeros_kernel<<<grid_of(pixels * y.c), kBlock, 0, call.stream>>>(a, pixels * y.c);
  } else {
    copy_kernel<<<grid_of(pixels * s.channels), kBlock, 0, call.stream>>>(a, pixels * s.channels);
  }
  FACEGEN_CUDA_CHECK_LAUNCH("a copy");
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
  dropout_kernel<<<grid_of(divide_up(a.first % 4 + a.count, int64_t{4})), kBlock, 0, call.stream>>>(a);
  FACEGEN_CUDA_CHECK_LAUNCH("dropout");
}

}  // namespace facegen::cuda
