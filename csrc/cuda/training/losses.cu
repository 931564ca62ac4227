// Losses and their gradients, a block an image (or group of images). Sums are in double precision, in an
// order that the shape fixes.
#include "cuda/runtime/error.h"
#include "cuda/training/call.h"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {
namespace {

constexpr int kThreads = 512, kWarps = kThreads / 32;

struct LossArguments {
  const float* x;
  float* dx;
  const void* target;
  double* losses;   // of the part
  int64_t images;   // of the batch
  int64_t pixels;   // of an image
  int32_t channels;
  double weight;
  bool accumulate;
  const int64_t* counted;  // labels of the batch that are 0 or more
  __device__ int64_t floats() const { return pixels * channels; }
};

// The sum over a block's threads, which each of them gets.
__device__ inline double block_sum(double sum) {
  __shared__ double shared[kThreads];
  __syncthreads();  // what a former sum was read from
  shared[threadIdx.x] = sum;
  for (unsigned apart = kThreads / 2; apart > 0; apart /= 2) {
    __syncthreads();
    if (threadIdx.x < apart) shared[threadIdx.x] += shared[threadIdx.x + apart];
  }
  __syncthreads();
  return shared[0];
}

__device__ inline double warp_sum(double sum) {
  for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
  return sum;
}

// The softmax of a pixel: exp(x - largest) / total; and the logarithm of total - 1 + 1, which does not cancel
// where a loss is small. A warp has a pixel.
struct PixelSoftmax {
  float largest, total;
  double log_sum;
  __device__ float softmax(float x) const { return expf(x - largest) / total; }
};

__device__ inline PixelSoftmax find_softmax(const float* x, int channels) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float most = -CUDART_INF_F;
  int place = channels;
  for (int c = lane; c < channels; c += 32) {
    if (x[c] > most) most = x[c], place = c;
  }
  for (int apart = 16; apart > 0; apart /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, most, apart);
    const int at = __shfl_xor_sync(0xffffffffu, place, apart);
    if (other > most || (other == most && at < place)) most = other, place = at;
  }
  double others = 0.0;  // a NaN, which is not the largest, is among them
  for (int c = lane; c < channels; c += 32) {
    if (c != place) others += static_cast<double>(expf(x[c] - most));
  }
  others = warp_sum(others);
  return {most, static_cast<float>(1.0 + others), log1p(others)};
}

// counted = the labels that are 0 or more
__global__ void __launch_bounds__(kThreads)
    count_labels_kernel(const int32_t* labels, int64_t count, int64_t* counted) {
  double own = 0.0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) own += labels[i] >= 0;
  const double all = block_sum(own);
  if (threadIdx.x == 0) *counted = static_cast<int64_t>(all);
}

__global__ void __launch_bounds__(kThreads)
    cross_entropy_kernel(const __grid_constant__ LossArguments a) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t image = blockIdx.x;
  const auto* const labels = static_cast<const int32_t*>(a.target) + image * a.pixels;
  const double share = *a.counted > 0 ? 1.0 / static_cast<double>(*a.counted) : 0.0;
  const auto scale = static_cast<float>(share * a.weight);
  double loss = 0.0;
  for (int64_t p = warp; p < a.pixels; p += kWarps) {
    const float* const x = a.x + (image * a.pixels + p) * a.channels;
    float* const dx = a.dx + (image * a.pixels + p) * a.channels;
    const int label = labels[p];
    if (label < 0 || label >= a.channels) {
      for (int c = lane; c < a.channels && !a.accumulate; c += 32) dx[c] = 0.0f;
      if (label >= 0) loss = CUDART_NAN;
      continue;
    }
    const PixelSoftmax s = find_softmax(x, a.channels);
    if (lane == 0) loss += static_cast<double>(s.largest) - static_cast<double>(x[label]) + s.log_sum;
    for (int c = lane; c < a.channels; c += 32) {
      const float softmax = s.softmax(x[c]);
      put(dx[c], (c == label ? softmax - 1.0f : softmax) * scale, a.accumulate);
    }
  }
  loss = block_sum(loss);
  if (threadIdx.x == 0) a.losses[image] = loss * share * static_cast<double>(a.images);
}

__global__ void __launch_bounds__(kThreads)
    soft_cross_entropy_kernel(const __grid_constant__ LossArguments a) {
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int64_t image = blockIdx.x;
  const double share = 1.0 / static_cast<double>(a.pixels);
  const auto scale = static_cast<float>(share / static_cast<double>(a.images) * a.weight);
  double loss = 0.0;
  for (int64_t p = warp; p < a.pixels; p += kWarps) {
    const int64_t at = (image * a.pixels + p) * a.channels;
    const float* const x = a.x + at;
    const float* const t = static_cast<const float*>(a.target) + at;
    const PixelSoftmax s = find_softmax(x, a.channels);
    double sum = 0.0;
    for (int c = lane; c < a.channels; c += 32) {
      const auto of_class = static_cast<double>(t[c]);
      sum += of_class;
      loss += of_class * (static_cast<double>(s.largest) - static_cast<double>(x[c]) + s.log_sum);
    }
    const auto all = static_cast<float>(warp_sum(sum));
    for (int c = lane; c < a.channels; c += 32) {
      put(a.dx[at + c], (all * s.softmax(x[c]) - t[c]) * scale, a.accumulate);
    }
  }
  loss = block_sum(loss);
  if (threadIdx.x == 0) a.losses[image] = loss * share;
}

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

// `share` of an image's numbers is its loss, and a batch's the mean of them.
template <LossKind K>
__global__ void __launch_bounds__(kThreads)
    by_number_kernel(const __grid_constant__ LossArguments a, double share) {
  const int64_t image = blockIdx.x, first = image * a.floats();
  const double scale = share / static_cast<double>(a.images) * a.weight;
  double loss = 0.0;
  for (int64_t i = first + threadIdx.x; i < first + a.floats(); i += kThreads) {
    const LossAndSlope found = loss_of<K>(static_cast<double>(a.x[i]),
                                          static_cast<double>(static_cast<const float*>(a.target)[i]));
    loss += found.loss;
    put(a.dx[i], static_cast<float>(found.slope * scale), a.accumulate);
  }
  loss = block_sum(loss);
  if (threadIdx.x == 0) a.losses[image] = loss * share;
}

// A block a group: the real image, the generated one, and with a penalty both again with noise.
__global__ void __launch_bounds__(kThreads)
    relativistic_pairs_kernel(const __grid_constant__ LossArguments a, int size, double penalty,
                              bool generator) {
  const int64_t first = int64_t{blockIdx.x} * size, floats = a.floats();
  const double scale = a.weight / static_cast<double>(a.images / size * floats);
  double scores[4] = {}, slopes[4] = {};
  for (int i = 0; i < size; ++i) {
    const float* const x = a.x + (first + i) * floats;
    double sum = 0.0;
    for (int64_t f = threadIdx.x; f < floats; f += kThreads) sum += static_cast<double>(x[f]);
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
    for (int64_t f = threadIdx.x; f < floats; f += kThreads) put(dx[f], slope, a.accumulate);
    if (threadIdx.x == 0) a.losses[first + i] = loss;
  }
}

}  // namespace

void run_loss(const TrainingCall& call, const void* target, double* losses) {
  const TrainingStep& s = call.step;
  const TrainingValue& x = *call.x.value;
  auto* const counted = reinterpret_cast<int64_t*>(call.scratch);
  const Part& part = call.part;
  const LossArguments a = {call.x.data, call.dx.data, target, losses + part.first,
                           part.whole,  x.pixels(),   x.c,    static_cast<double>(s.loss_weight),
                           s.accumulate, counted};
  const unsigned blocks = grid(call.images);
  const double share = 1.0 / static_cast<double>(x.floats());
  const cudaStream_t stream = call.stream;
  switch (s.loss) {
    case LossKind::kCrossEntropy:
      count_labels_kernel<<<1, kThreads, 0, stream>>>(
          static_cast<const int32_t*>(target) - part.first * x.pixels(), part.whole * x.pixels(), counted);
      FACEGEN_CUDA_CHECK_LAUNCH("a count of labels");
      cross_entropy_kernel<<<blocks, kThreads, 0, stream>>>(a);
      break;
    case LossKind::kSoftCrossEntropy:
      soft_cross_entropy_kernel<<<blocks, kThreads, 0, stream>>>(a);
      break;
    case LossKind::kBinaryCrossEntropy:
      by_number_kernel<LossKind::kBinaryCrossEntropy><<<blocks, kThreads, 0, stream>>>(a, share);
      break;
    case LossKind::kL1: by_number_kernel<LossKind::kL1><<<blocks, kThreads, 0, stream>>>(a, share); break;
    case LossKind::kL2: by_number_kernel<LossKind::kL2><<<blocks, kThreads, 0, stream>>>(a, share); break;
    // The sum over the batch: the gradient is the target to the bit.
    case LossKind::kGiven:
      by_number_kernel<LossKind::kGiven>
          <<<blocks, kThreads, 0, stream>>>(a, static_cast<double>(part.whole));
      break;
    case LossKind::kRelativisticPairs: {
      const auto size = static_cast<int>(loss_group(s));
      relativistic_pairs_kernel<<<grid(call.images / size), kThreads, 0, stream>>>(
          a, size, static_cast<double>(s.penalty), s.generator);
      break;
    }
  }
  FACEGEN_CUDA_CHECK_LAUNCH("a loss");
}

}  // namespace facegen::cuda
