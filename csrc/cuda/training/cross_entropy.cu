// Cross-entropies of the softmax over each pixel's channels, and their gradients.
//
// Few numbers are no multiple of a memory's line: a pixel of 21 classes has 84 bytes. Threads side by side
// therefore copy numbers side by side of a run's pixels to shared memory, work on a pixel each there (or some
// on one), leave its gradient in its place and copy that out. A pixel of many channels has a warp, and stays
// where it is.
#include "cuda/fit/divide.h"
#include "cuda/training/loss.cuh"
#include "cuda/training/pixels.cuh"
#include "cuda/training/rows.cuh"

namespace facegen::cuda {
namespace {

// The softmax of a pixel: exp(x - largest) * inverse; and the logarithm of the sum, 1 + others, which does
// not cancel where a loss is small.
struct PixelSoftmax {
  float largest, inverse;
  double log_sum;
  __device__ float softmax(float x) const { return expf(x - largest) * inverse; }
};

// By all threads of the pixel together; each gets it. kKeep: exp(x - largest) takes the place of x.
template <bool kKeep, class Float>
__device__ inline PixelSoftmax find_softmax(Float* x, int channels, const RowThreads& threads) {
  float most = -CUDART_INF_F;
  int place = channels;
#pragma unroll 4
  for (int c = threads.lane; c < channels; c += threads.lanes) {
    if (x[c] > most) most = x[c], place = c;
  }
  for (int apart = threads.lanes / 2; apart > 0; apart /= 2) {
    const float other = __shfl_xor_sync(threads.mask, most, apart);
    const int at = __shfl_xor_sync(threads.mask, place, apart);
    if (other > most || (other == most && at < place)) most = other, place = at;
  }
  double others = 0.0;  // a NaN, which is not the largest, is among them
#pragma unroll 4
  for (int c = threads.lane; c < channels; c += threads.lanes) {
    const float e = expf(x[c] - most);
    if constexpr (kKeep) x[c] = e;
    others += c == place ? 0.0 : static_cast<double>(e);
  }
  others = threads.sum(others);
  return {most, 1.0f / static_cast<float>(1.0 + others), log1p(others)};
}

// The labels of the batch; sums of kCountBlocks blocks if there are many.
struct LabelCount {
  const int32_t* labels;
  int64_t count;
  double* sums;  // null: few
};

__device__ inline double count_labels(const int32_t* labels, int64_t count, int64_t first, int64_t step) {
  int64_t own = 0;
#pragma unroll 8
  for (int64_t i = first; i < count; i += step) own += labels[i] >= 0;
  return block_sum(static_cast<double>(own));
}

__global__ void __launch_bounds__(kLossThreads) count_labels_kernel(const __grid_constant__ LabelCount labels) {
  const double sum = count_labels(labels.labels, labels.count, int64_t{blockIdx.x} * kLossThreads + threadIdx.x,
                                  int64_t{kCountBlocks} * kLossThreads);
  if (threadIdx.x == 0) labels.sums[blockIdx.x] = sum;
}

// The labels that are 0 or more.
__device__ inline double counted(const LabelCount& labels) {
  if (labels.sums == nullptr) return count_labels(labels.labels, labels.count, threadIdx.x, kLossThreads);
  double sum = 0.0;
#pragma unroll
  for (int i = 0; i < kCountBlocks; i += kLossThreads) sum += labels.sums[i + static_cast<int>(threadIdx.x)];
  return block_sum(sum);
}

// A run's pixels in shared memory, `pitch` floats apart.
struct Stage {
  int32_t channels, pitch;
  uint32_t reciprocal;  // of the channels
  Divider by_fours;     // of an operand's pixel
  __device__ int place(int i) const { return pitch == channels ? i : i + divide(i, reciprocal); }

  static constexpr int kTogether = 8;
  __device__ void copy_in(const float* from, int count, float* tile) const {
    for (int first = static_cast<int>(threadIdx.x); first < count; first += kTogether * kLossThreads) {
      float v[kTogether];
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        if (first + k * kLossThreads < count) v[k] = from[first + k * kLossThreads];
      }
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        if (first + k * kLossThreads < count) tile[place(first + k * kLossThreads)] = v[k];
      }
    }
  }
  __device__ void copy_out(const float* tile, int count, float* to, bool accumulate) const {
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.x); i < count; i += kLossThreads) put(to[i], tile[place(i)], accumulate);
  }
  // To an operand, from its pixel `first` on.
  __device__ void copy_operand(const float* tile, int pixels, const OperandTarget& to, int64_t first) const {
    const int fours = to.pitch / 4;
#pragma unroll 2
    for (int i = static_cast<int>(threadIdx.x); i < pixels * fours; i += kLossThreads) {
      const int pixel = by_fours.divide(i), channel = 4 * (i - pixel * fours);
      const float* const from = tile + pixel * pitch + channel;
      Numbers<4> n;
#pragma unroll
      for (int e = 0; e < 4; ++e) n.v[e] = channel + e < channels ? from[e] : 0.0f;
      write_operand(to, (first + pixel) * to.pitch + channel, n);
    }
  }
};

// `target` is labels, or of kSoft a share for each class.
template <bool kSoft, bool kStaged>
__global__ void __launch_bounds__(kLossThreads, 5)
    cross_entropy_kernel(const __grid_constant__ LossArguments a, const __grid_constant__ Stage stage,
                         const __grid_constant__ LabelCount labels) {
  __shared__ float staged[kStaged ? kStagedFloats : 1];
  const LossBlock block(a);
  const int thread = static_cast<int>(threadIdx.x), lanes = a.plan.lanes, own = thread / lanes;
  const int lane = thread % lanes;
  const RowThreads threads = {lane, lanes, (lanes == 32 ? ~0u : (1u << lanes) - 1) << (thread % 32 - lane)};
  double share;  // of a pixel, in the loss; of labels, of the batch
  if constexpr (kSoft) {
    share = 1.0 / static_cast<double>(a.pixels);
  } else {
    const double count = counted(labels);
    share = count > 0.0 ? 1.0 / count : 0.0;
  }
  const auto scale = static_cast<float>((kSoft ? share / static_cast<double>(a.images) : share) * a.weight);
  double loss = 0.0;
  for (int run = block.split; run < a.plan.runs; run += a.plan.splits) {
    const int64_t first = int64_t{run} * a.plan.pixels, left = a.pixels - first;
    const int pixels = left < a.plan.pixels ? static_cast<int>(left) : a.plan.pixels;
    const int64_t begin = (block.image * a.pixels + first) * a.channels;
    const auto* const shares = static_cast<const float*>(a.target) + begin;
    float* const targets = staged + a.plan.pixels * stage.pitch;  // of kSoft
    if constexpr (kStaged) {
      __syncthreads();  // the run before has been copied out
      stage.copy_in(a.x + begin, pixels * a.channels, staged);
      if constexpr (kSoft) stage.copy_in(shares, pixels * a.channels, targets);
      __syncthreads();
    }
    if (own < pixels) {
      float* const of_stage = staged + own * stage.pitch;
      const float* const x = kStaged ? of_stage : a.x + begin + own * a.channels;
      float* const dx = kStaged ? of_stage : a.dx + begin + own * a.channels;
      const bool accumulate = !kStaged && a.accumulate;
      // A thread reads and writes its own channels alone.
      if constexpr (kSoft) {
        const float* const t = kStaged ? targets + own * stage.pitch : shares + own * a.channels;
        const PixelSoftmax s = find_softmax<false>(x, a.channels, threads);
        double sum = 0.0;
        threads.for_each_run<1>(a.channels, [&](int c) {
          const auto of_class = static_cast<double>(t[c]);
          sum += of_class;
          loss += of_class * (static_cast<double>(s.largest) - static_cast<double>(x[c]) + s.log_sum);
        });
        const auto all = static_cast<float>(threads.sum(sum));
        threads.for_each_run<1>(a.channels, [&](int c) {
          put(dx[c], (all * s.softmax(x[c]) - t[c]) * scale, accumulate);
        });
      } else {
        const int label = static_cast<const int32_t*>(a.target)[block.image * a.pixels + first + own];
        if (label < 0 || label >= a.channels) {
          threads.for_each_run<1>(a.channels, [&](int c) { put(dx[c], 0.0f, accumulate); });
          if (label >= 0) loss = CUDART_NAN;
        } else {
          const bool has_label = label % lanes == lane;
          const float of_label = has_label ? x[label] : 0.0f;
          PixelSoftmax s;
          if constexpr (kStaged) {
            s = find_softmax<true>(of_stage, a.channels, threads);
          } else {
            s = find_softmax<false>(x, a.channels, threads);
          }
          if (has_label) loss += static_cast<double>(s.largest) - static_cast<double>(of_label) + s.log_sum;
#pragma unroll 4
          for (int c = lane; c < a.channels; c += lanes) {
            const float softmax = kStaged ? x[c] * s.inverse : s.softmax(x[c]);
            put(dx[c], (c == label ? softmax - 1.0f : softmax) * scale, accumulate);
          }
        }
      }
    }
    if constexpr (kStaged) {
      __syncthreads();
      if (!a.operand.alone) stage.copy_out(staged, pixels * a.channels, a.dx + begin, a.accumulate);
      if (a.operand.to != nullptr) stage.copy_operand(staged, pixels, a.operand, block.image * a.pixels + first);
    }
  }
  finish_loss(a, block, loss, kSoft ? share : share * static_cast<double>(a.images));
}

template <bool kSoft>
void launch(const TrainingCall& call, const LossArguments& arguments, const LabelCount& labels) {
  const auto kernel =
      arguments.plan.staged ? cross_entropy_kernel<kSoft, true> : cross_entropy_kernel<kSoft, false>;
  const int32_t channels = arguments.channels;
  const int32_t fours = arguments.operand.to == nullptr ? 1 : arguments.operand.pitch / 4;
  const Stage stage = {channels, arguments.plan.pitch, channels > 1 ? reciprocal(channels) : 0, make_divider(fours)};
  launch_loss(arguments, call.images, [&](const LossArguments& a, unsigned blocks) {
    kernel<<<blocks, kLossThreads, 0, call.stream>>>(a, stage, labels);
  });
}

}  // namespace

void run_cross_entropy(const TrainingCall& call, const LossArguments& a) {
  const Part& part = call.part;
  LabelCount labels = {static_cast<const int32_t*>(a.target) - part.first * a.pixels, part.whole * a.pixels,
                       nullptr};
  if (labels.count > kFewLabels) {
    labels.sums = reinterpret_cast<double*>(call.scratch);
    count_labels_kernel<<<kCountBlocks, kLossThreads, 0, call.stream>>>(labels);
    FACEGEN_CUDA_CHECK_LAUNCH("a count of labels");
  }
  launch<false>(call, a, labels);
}

void run_soft_cross_entropy(const TrainingCall& call, const LossArguments& a) { launch<true>(call, a, {}); }

}  // namespace facegen::cuda
