// Losses and their gradients. Sums are in double precision, in an order that an image's map fixes.
#include "cuda/runtime/error.h"
#include "cuda/training/loss.cuh"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {
namespace {

struct LossAndSlope {
  double loss, slope;
};

__device__ inline double sigmoid_of(double x) {
  const double e = exp(-fabs(x));
  return (x >= 0.0 ? 1.0 : e) / (1.0 + e);
}
__device__ inline double softplus_of(double x) { return (x < 0.0 ? 0.0 : x) + log1p(exp(-fabs(x))); }

template <LossKind K>
__device__ inline LossAndSlope loss_of(double p, double target) {
  if constexpr (K == LossKind::kBinaryCrossEntropy) {
    return {softplus_of(p) - p * target, sigmoid_of(p) - target};
  } else if constexpr (K == LossKind::kL1) {
    const double difference = p - target;
    return {fabs(difference), difference > 0.0 ? 1.0 : difference < 0.0 ? -1.0 : difference};
  } else if constexpr (K == LossKind::kL2) {
    const double difference = p - target;
    return {difference * difference, 2.0 * difference};
  } else {
    static_assert(K == LossKind::kGiven);
    return {p * target, target};
  }
}

// Four numbers from i on, of which `count` are there.
template <bool kVector>
__device__ inline Numbers<4> load_four(const float* from, int64_t count) {
  if constexpr (kVector) return load_numbers<4>(from);
  Numbers<4> n = {};
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    if (e < count) n.v[e] = from[e];
  }
  return n;
}

// `share` of an image's numbers is its loss, and a batch's the mean of them. A thread has four neighbours at a
// time, of kVector in one reading; the order of sums is the same.
template <LossKind K, bool kVector>
__global__ void __launch_bounds__(kLossThreads)
    by_number_kernel(const __grid_constant__ LossArguments a, double share) {
  // Of a logarithm four fill the registers.
  constexpr int kTogether = K == LossKind::kBinaryCrossEntropy ? 1 : 2;
  const LossBlock block(a);
  const int64_t floats = a.floats(), begin = block.image * floats;
  const float* const x = a.x + begin;
  const float* const target = static_cast<const float*>(a.target) + begin;
  float* const dx = a.dx + begin;
  const double scale = share / static_cast<double>(a.images) * a.weight;
  double loss = 0.0;
  for (int run = block.split; run < a.plan.runs; run += a.plan.splits) {
#pragma unroll 1
    for (int done = 0; done < kLossRun; done += kTogether * 4 * kLossThreads) {
      const int64_t first = run * kLossRun + done + 4 * static_cast<int>(threadIdx.x);
      Numbers<4> of_x[kTogether], of_target[kTogether];
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        const int64_t i = first + k * 4 * kLossThreads;
        if (i >= floats) continue;
        of_x[k] = load_four<kVector>(x + i, floats - i);
        of_target[k] = load_four<kVector>(target + i, floats - i);
      }
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        const int64_t i = first + k * 4 * kLossThreads;
        if (i >= floats) continue;
        Numbers<4> slopes;
#pragma unroll
        for (int e = 0; e < 4; ++e) {
          if (!kVector && i + e >= floats) continue;
          const LossAndSlope found =
              loss_of<K>(static_cast<double>(of_x[k].v[e]), static_cast<double>(of_target[k].v[e]));
          loss += found.loss;
          slopes.v[e] = static_cast<float>(found.slope * scale);
          if (!kVector) put(dx[i + e], slopes.v[e], a.accumulate);
        }
        if (kVector) put_numbers(dx + i, slopes, a.accumulate);
      }
    }
  }
  finish_loss(a, block, loss, share);
}

template <LossKind K>
void by_number(const TrainingCall& call, const LossArguments& arguments, double share) {
  const bool fours =
      comes_in_fours(call.x.value->floats(), {arguments.x, arguments.dx, arguments.target});
  const auto kernel = fours ? by_number_kernel<K, true> : by_number_kernel<K, false>;
  launch_loss(arguments, call.images, [&](const LossArguments& a, unsigned blocks) {
    kernel<<<blocks, kLossThreads, 0, call.stream>>>(a, share);
  });
}

// A block a group: the real image, the generated one, and with a penalty both again with noise.
__global__ void __launch_bounds__(kLossThreads)
    relativistic_pairs_kernel(const __grid_constant__ LossArguments a, int size, double penalty,
                              bool generator) {
  const int64_t first = int64_t{blockIdx.x} * size, floats = a.floats();
  const double scale = a.weight / static_cast<double>(a.images / size * floats);
  double scores[4] = {}, slopes[4] = {};
  for (int i = 0; i < size; ++i) {
    const float* const x = a.x + (first + i) * floats;
    double sum = 0.0;
    for (int64_t f = threadIdx.x; f < floats; f += kLossThreads) sum += static_cast<double>(x[f]);
    scores[i] = block_sum(sum) / static_cast<double>(floats);
  }
  const double lead = scores[0] - scores[1];  // of the real image
  double loss = softplus_of(generator ? lead : -lead);
  if (generator) {
    slopes[1] = -sigmoid_of(lead);
  } else {
    slopes[1] = sigmoid_of(-lead);
    slopes[0] = -slopes[1];
  }
  for (int i = 2; i < size; ++i) {
    const double change = scores[i - 2] - scores[i];
    loss += penalty * change * change;
    slopes[i - 2] += 2.0 * penalty * change;
    slopes[i] = -2.0 * penalty * change;
  }
  for (int i = 0; i < size; ++i) {
    const auto slope = static_cast<float>(slopes[i] * scale);
    float* const dx = a.dx + (first + i) * floats;
    for (int64_t f = threadIdx.x; f < floats; f += kLossThreads) put(dx[f], slope, a.accumulate);
    if (threadIdx.x == 0) a.losses[first + i] = loss;
  }
}

}  // namespace

void run_loss(const TrainingCall& call, const void* target, double* losses) {
  const TrainingStep& s = call.step;
  const TrainingValue& x = *call.x.value;
  const Part& part = call.part;
  const LossArguments a = {call.x.data,
                           call.dx.data,
                           target,
                           losses + part.first,
                           part.whole,
                           x.pixels(),
                           x.c,
                           static_cast<double>(s.loss_weight),
                           s.accumulate,
                           plan_loss(s, x),
                           reinterpret_cast<double*>(call.scratch) + kCountBlocks,
                           call.arrivals,
                           0,
                           call.operand};
  const double share = 1.0 / static_cast<double>(x.floats());
  switch (s.loss) {
    case LossKind::kCrossEntropy: return run_cross_entropy(call, a);
    case LossKind::kSoftCrossEntropy: return run_soft_cross_entropy(call, a);
    case LossKind::kBinaryCrossEntropy: return by_number<LossKind::kBinaryCrossEntropy>(call, a, share);
    case LossKind::kL1: return by_number<LossKind::kL1>(call, a, share);
    case LossKind::kL2: return by_number<LossKind::kL2>(call, a, share);
    // The sum over the batch: the gradient is the target to the bit.
    case LossKind::kGiven:
      return by_number<LossKind::kGiven>(call, a, static_cast<double>(part.whole));
    case LossKind::kRelativisticPairs: {
      const auto size = static_cast<int>(loss_group(s));
      relativistic_pairs_kernel<<<grid(call.images / size), kLossThreads, 0, call.stream>>>(
          a, size, static_cast<double>(s.penalty), s.generator);
      FACEGEN_CUDA_CHECK_LAUNCH("a loss of pairs");
    }
  }
}

}  // namespace facegen::cuda
