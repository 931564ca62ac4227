#include "cuda/training/update.h"

#include <algorithm>

#include "cuda/runtime/error.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/numbers.cuh"
#include "weight_rounding.h"

namespace facegen::cuda {
namespace {

// A thread has the weights of one call's draws.
static_assert(kBlockThreads == kDrawRow && kUpdateNumbers % kDrawBlock == 0 && kDrawsOfCall == 8);

// The sum over a block's threads, in thread 0.
__device__ inline double block_sum(double sum) {
  __shared__ double shared[kBlockThreads];
  shared[threadIdx.x] = sum;
  for (unsigned apart = kBlockThreads / 2; apart > 0; apart /= 2) {
    __syncthreads();
    if (threadIdx.x < apart) shared[threadIdx.x] += shared[threadIdx.x + apart];
  }
  __syncthreads();
  return shared[0];
}

__global__ void __launch_bounds__(kBlockThreads)
    squares_kernel(const float* x, int64_t count, double* parts) {
  const int64_t first = blockIdx.x * kUpdateNumbers, last = min(count, first + kUpdateNumbers);
  double sum = 0.0;
  for (int64_t i = first + threadIdx.x; i < last; i += kBlockThreads) {
    const auto v = static_cast<double>(x[i]);
    sum = fma(v, v, sum);
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kBlockThreads)
    state_kernel(const double* parts, int64_t part_count, const double* losses, int64_t loss_count,
                 KeptFlags kept, float clip_norm, StepState* state, const __grid_constant__ StepEnd end) {
  const int64_t step = end.cursor->step;  // which thread 0 changes behind the sums
  char* const result = end.results + step * end.result_bytes;
  auto* const kept_losses = reinterpret_cast<double*>(result + sizeof(StepState));
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < part_count; i += kBlockThreads) sum += parts[i];
  // Infinity and NaN times 0 are NaN, which sums keep.
  double check = 0.0;
  for (int64_t i = threadIdx.x; i < loss_count; i += kBlockThreads) {
    const double loss = losses[i];
    kept_losses[i] = loss;
    check += loss * 0.0;
  }
  const double length = sqrt(block_sum(sum));
  __syncthreads();
  check = block_sum(check);
  if (threadIdx.x != 0) return;
  const auto longest = static_cast<double>(clip_norm);
  state->length = length;
  state->scale = longest > 0.0 ? static_cast<float>(fmin(1.0, longest / (length + 1e-6))) : 1.0f;
  bool finite = *end.stopped == 0 && isfinite(length) && check == 0.0;
  for (int32_t rank = 0; rank < kept.count; ++rank) {
    if (kept.not_finite[rank] != 0) finite = false;
    kept.not_finite[rank] = 0;
  }
  state->finite = finite;
  *reinterpret_cast<StepState*>(result) = *state;
  if (state->finite == 0) *end.stopped = 1;
  *end.cursor = {step + 1};
}

// What a parameter's update reads.
struct Held {
  float parameter, gradient, first, second, average;
};

__device__ inline Held read(const UpdatedArray& a, int64_t i) {
  Held h = {a.parameter[i], a.gradient[i], 0.0f, 0.0f, 0.0f};
  if (a.first != nullptr) h.first = a.first[i];
  if (a.second != nullptr) h.second = a.second[i];
  if (a.average != nullptr) h.average = a.average[i];
  return h;
}

__device__ inline float sgd(const UpdatedArray& a, const OptimizerNumbers& n, float scale, int64_t i,
                            const Held& h) {
  const float p = h.parameter;
  float g = fmaf(a.weight_decay, p, h.gradient * scale);
  if (a.first != nullptr) {
    const float v = n.starts ? g : fmaf(a.momentum, h.first, g);
    a.first[i] = v;
    g = a.nesterov ? fmaf(a.momentum, v, g) : v;
  }
  return fmaf(-n.rate, g, p);
}

__device__ inline float adam(const UpdatedArray& a, const OptimizerNumbers& n, float scale, int64_t i,
                             const Held& h) {
  float p = h.parameter;
  const float g = fmaf(a.weight_decay, p, h.gradient * scale);
  p *= n.shrink;
  const float m = fmaf(a.rest1, g - h.first, h.first);
  const float v = fmaf(a.rest2 * g, g, h.second * a.beta2);
  a.first[i] = m;
  a.second[i] = v;
  return p - n.step_size * (m / (sqrtf(v) / n.root_correction2 + a.eps));
}

__device__ inline float rounded(float next, uint32_t addend) {
  return __uint_as_float(rounded_weight(__float_as_uint(next), addend));
}

// Numbers of a thread that are read before any of them is written: the others would wait for each.
constexpr int kTogether = 4;

__global__ void __launch_bounds__(kBlockThreads)
    update_kernel(const UpdatedArray* arrays, const OptimizerNumbers* numbers, const UpdateBlock* blocks,
                  const StepNumbers* step, const StepState* state) {
  if (!state->finite) return;
  const UpdateBlock block = blocks[blockIdx.x];
  const UpdatedArray a = arrays[block.array];
  const OptimizerNumbers n = numbers[block.array];
  const int64_t last = min(a.floats, block.first + kUpdateNumbers);
  const float scale = state->scale;
#pragma unroll 1
  for (int64_t draws = block.first; draws < last; draws += kDrawBlock) {
    uint32_t words[4] = {};
    if (a.rounding == WeightRounding::kStochastic) {
      const auto place = static_cast<uint64_t>(draws / kDrawsOfCall + threadIdx.x);
      philox(place, step->step, philox_key(step->seed, a.stream), words);
    }
#pragma unroll 1
    for (int k = 0; k < kDrawsOfCall; k += kTogether) {
      const int64_t first = draws + k * kDrawRow + threadIdx.x;
      Held held[kTogether] = {};
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        if (first + j * kDrawRow < last) held[j] = read(a, first + j * kDrawRow);
      }
#pragma unroll
      for (int j = 0; j < kTogether; ++j) {
        const int64_t i = first + j * kDrawRow;
        if (i >= last) break;
        float next = a.sgd ? sgd(a, n, scale, i, held[j]) : adam(a, n, scale, i, held[j]);
        if (a.rounding == WeightRounding::kNearest) next = rounded(next, nearest_addend(__float_as_uint(next)));
        if (a.rounding == WeightRounding::kStochastic) next = rounded(next, rounding_draw(words, j));
        a.parameter[i] = next;
        if (a.average != nullptr) a.average[i] = fmaf(n.average_rest, next - held[j].average, held[j].average);
      }
      words[0] = words[2], words[1] = words[3];
    }
  }
}

// A thread reads kTogether vectors before it looks at any.
constexpr int64_t kMostCheckBlocks = 1024;
template <int kVector>
__global__ void __launch_bounds__(kBlockThreads)
    check_finite_kernel(const float* x, int64_t count, int32_t* not_finite) {
  const int64_t vectors = count / kVector, step = int64_t{gridDim.x} * kBlockThreads;
  bool finite = true;
  for (int64_t first = int64_t{blockIdx.x} * kBlockThreads + threadIdx.x; first < vectors; first += kTogether * step) {
    Numbers<kVector> v[kTogether] = {};
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      if (first + k * step < vectors) v[k] = load_numbers<kVector>(x + (first + k * step) * kVector);
    }
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
#pragma unroll
      for (int e = 0; e < kVector; ++e) finite = finite && isfinite(v[k].v[e]);
    }
  }
  if (!finite) *not_finite = 1;
}

__global__ void __launch_bounds__(kBlockThreads) add_kernel(const float* x, float* y, int64_t count) {
  for_each_number(count, [&](int64_t i) { y[i] += x[i]; });
}

__global__ void __launch_bounds__(kBlockThreads)
    find_not_finite_kernel(const float* x, int64_t count, unsigned long long* place) {
  for_each_number(count, [&](int64_t i) {
    if (!isfinite(x[i])) atomicMin(place, static_cast<unsigned long long>(i));
  });
}

}  // namespace

void run_updates(const UpdatedArray* arrays, const OptimizerNumbers* numbers, const UpdateBlock* blocks,
                 int64_t block_count, const StepNumbers* step, const StepState* state, cudaStream_t stream) {
  if (block_count == 0) return;
  update_kernel<<<grid(block_count), kBlockThreads, 0, stream>>>(arrays, numbers, blocks, step, state);
  FACEGEN_CUDA_CHECK_LAUNCH("the optimizer");
}

void find_state(const float* gradients, int64_t floats, double* parts, const double* losses,
                int64_t loss_count, const KeptFlags& kept, float clip_norm, StepState* state, const StepEnd& end,
                cudaStream_t stream) {
  const int64_t part_count = divide_up(floats, kUpdateNumbers);
  if (part_count > 0) {
    squares_kernel<<<grid(part_count), kBlockThreads, 0, stream>>>(gradients, floats, parts);
    FACEGEN_CUDA_CHECK_LAUNCH("the gradient's squares");
  }
  state_kernel<<<1, kBlockThreads, 0, stream>>>(parts, part_count, losses, loss_count, kept, clip_norm, state,
                                       end);
  FACEGEN_CUDA_CHECK_LAUNCH("the gradient's length");
}

void add_numbers(const float* x, float* y, int64_t count, cudaStream_t stream) {
  if (count == 0) return;
  add_kernel<<<grid_of(count), kBlockThreads, 0, stream>>>(x, y, count);
  FACEGEN_CUDA_CHECK_LAUNCH("a sum");
}

void check_finite(const float* x, int64_t count, int32_t* not_finite, cudaStream_t stream) {
  const bool fours = comes_in_fours(count, {x});
  const int64_t threads = divide_up(fours ? count / 4 : count, int64_t{kTogether});
  const int64_t blocks = std::clamp<int64_t>(divide_up(threads, int64_t{kBlockThreads}), 1, kMostCheckBlocks);
  const auto kernel = fours ? check_finite_kernel<4> : check_finite_kernel<1>;
  kernel<<<grid(blocks), kBlockThreads, 0, stream>>>(x, count, not_finite);
  FACEGEN_CUDA_CHECK_LAUNCH("a check");
}

void find_not_finite(const float* x, int64_t count, unsigned long long* place, cudaStream_t stream) {
  find_not_finite_kernel<<<grid_of(count), kBlockThreads, 0, stream>>>(x, count, place);
  FACEGEN_CUDA_CHECK_LAUNCH("a search");
}

}  // namespace facegen::cuda
