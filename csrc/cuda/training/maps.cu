// What is done number by number: activations, copies, dropout.
#include <cstdint>

#include "cuda/runtime/error.h"
#include "cuda/training/activation_gradient.cuh"
#include "cuda/training/call.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {
namespace {

// Kernels of kVector numbers read and write four at a time.
template <bool kVector>
__global__ void __launch_bounds__(kBlock)
    activate_kernel(const float* x, float* y, int64_t count, Activation activation, float alpha, float beta) {
  const auto one = [&](float v) { return activate_one(v, activation, alpha, beta); };
  if constexpr (kVector) {
    for_each_number(count / 4, [&](int64_t i) {
      const float4 v = reinterpret_cast<const float4*>(x)[i];
      reinterpret_cast<float4*>(y)[i] = make_float4(one(v.x), one(v.y), one(v.z), one(v.w));
    });
  } else {
    for_each_number(count, [&](int64_t i) { y[i] = one(x[i]); });
  }
}

// dx may be dy.
template <bool kVector>
__global__ void __launch_bounds__(kBlock)
    activate_gradient_kernel(const float* v, const float* dy, float* dx, int64_t count,
                             Activation activation, float alpha, float beta, bool accumulate) {
  const auto one = [&](float& to, float of, float d) {
    put(to, activation_gradient(activation, alpha, beta, of, d), accumulate);
  };
  if constexpr (kVector) {
    for_each_number(count / 4, [&](int64_t i) {
      const float4 of = reinterpret_cast<const float4*>(v)[i];
      const float4 d = reinterpret_cast<const float4*>(dy)[i];
      float4* const place = reinterpret_cast<float4*>(dx) + i;
      float4 to = accumulate ? *place : float4{};
      one(to.x, of.x, d.x);
      one(to.y, of.y, d.y);
      one(to.z, of.z, d.z);
      one(to.w, of.w, d.w);
      *place = to;
    });
  } else {
    for_each_number(count, [&](int64_t i) { one(dx[i], v[i], dy[i]); });
  }
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
  int64_t first_four;  // numbers of the batch before the part's, by fours
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
  for_each_number((a.count + 3) / 4, [&](int64_t four) {
    const auto place = static_cast<uint64_t>(a.first_four + four);
    uint32_t words[4] = {static_cast<uint32_t>(place), static_cast<uint32_t>(place >> 32),
                         static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32)};
    philox(words, static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32));
#pragma unroll
    for (int word = 0; word < 4; ++word) {
      const int64_t i = 4 * four + word;
      if (i < a.count) put(a.y[i], words[word] < a.threshold ? 0.0f : a.x[i] * a.scale, a.accumulate);
    }
  });
}

}  // namespace

void run_activate(const TrainingCall& call) {
  const int64_t count = call.images * call.y.value->floats();
  const bool fours = comes_in_fours(count, {call.x.data, call.y.data});
  const auto kernel = fours ? activate_kernel<true> : activate_kernel<false>;
  kernel<<<grid_of(fours ? count / 4 : count), kBlock, 0, call.stream>>>(
      call.x.data, call.y.data, count, call.step.activation, call.step.alpha, call.step.limit);
  FACEGEN_CUDA_CHECK_LAUNCH("an activation");
}

void run_activate_gradient(const TrainingCall& call) {
  const int64_t count = call.images * call.y.value->floats();
  const bool fours = comes_in_fours(count, {call.y.data, call.dy.data, call.dx.data});
  const auto kernel = fours ? activate_gradient_kernel<true> : activate_gradient_kernel<false>;
  kernel<<<grid_of(fours ? count / 4 : count), kBlock, 0, call.stream>>>(
      call.y.data, call.dy.data, call.dx.data, count, call.step.activation, call.step.alpha,
      call.step.limit, call.step.accumulate);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient of an activation");
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
                              call.part.first / 4 * call.x.value->floats(),  // a part begins at a chunk
                              call.numbers,
                              static_cast<uint32_t>(call.step.stream),
                              static_cast<uint32_t>(share * 4294967296.0),
                              static_cast<float>(1.0 / (1.0 - share)),
                              call.step.accumulate};
  dropout_kernel<<<grid_of(divide_up(a.count, int64_t{4})), kBlock, 0, call.stream>>>(a);
  FACEGEN_CUDA_CHECK_LAUNCH("dropout");
}

}  // namespace facegen::cuda
