// Gradients of batch, instance and group norms: sums by channels in one launch, all pixels in another; of
// images there are their sums over the batch between, and of groups of channels the sums of a group.
//
// Where the norm's activation is none, ReLU or leaky ReLU its output is not read: its sign is told from x,
// by the forward pass's own arithmetic.
#include "cuda/training/activation_gradient.cuh"
#include "cuda/training/norm.cuh"

namespace facegen::cuda {
namespace {

// The maps that both passes read; from them g of steps/norms.py, and x - mean, which h is with the deviation.
template <bool kRamp>
struct Gradient {
  static constexpr int kMaps = kRamp ? 2 : 3, kTogether = kRamp ? 2 : 1;
  Norm norm;
  const float *x, *dy, *y;
  Activation activation;
  float alpha, limit;
  Ramp ramp;
};

template <int kVector, bool kRamp>
struct GradientLane {
  using Maps = Numbers<kVector>[Gradient<kRamp>::kMaps];
  const Gradient<kRamp>& all;
  NormLane<kVector> norm;
  __device__ GradientLane(const Gradient<kRamp>& a, int64_t segment, int channel)
      : all(a), norm(a.norm, segment, channel) {}
  __device__ void read(int64_t i, Maps& v) const {
    v[0] = load_numbers<kVector>(all.x + i);
    v[1] = load_numbers<kVector>(all.dy + i);
    if constexpr (!kRamp) v[2] = load_numbers<kVector>(all.y + i);
  }
  __device__ float g(int e, const Maps& v) const {
    if constexpr (kRamp) {
      return all.ramp.gradient(norm.normalise(e, v[0].v[e]), v[1].v[e]);
    } else {
      return activation_gradient(all.activation, all.alpha, all.limit, v[2].v[e], v[1].v[e]);
    }
  }
  __device__ float centred(int e, const Maps& v) const {
    return v[0].v[e] - norm.mean[e];
  }
};

// Of g, and of g (x - mean).
template <bool kRamp>
struct GradientSums : Gradient<kRamp> {
  static constexpr int kSums = 2, kBlocks = 4;
  template <int kVector>
  struct Lane : GradientLane<kVector, kRamp> {
    using Base = GradientLane<kVector, kRamp>;
    using Base::Base;
    __device__ void read(int64_t, int64_t i, typename Base::Maps& v) const { Base::read(i, v); }
    __device__ void add(const typename Base::Maps& v, double (&sum)[2][kVector]) const {
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const auto g = static_cast<double>(this->g(e, v));
        sum[0][e] += g;
        sum[1][e] = fma(g, static_cast<double>(this->centred(e, v)), sum[1][e]);
      }
    }
  };
};

// shares (segment, 2, channels): the means over the pixels of a group of gamma g, over the deviation, and of
// gamma g h, over its square.
struct Shares {
  Norm norm;
  float* to;
  __device__ void write(int64_t segment, int first, int members, const double* of_g,
                        const double* of_product) const {
    double sum = 0.0, product = 0.0;
    for (int c = 0; c < members; ++c) {
      const auto gamma = static_cast<double>(norm.gamma[first + c]);
      sum += gamma * of_g[c];
      product += gamma * of_product[c];
    }
    const double numbers = static_cast<double>(norm.rows) * members;
    float* const own = to + segment * 2 * norm.channels + first;
    for (int c = 0; c < members; ++c) {
      const auto inverse = static_cast<double>(norm.inverse(segment)[first + c]);
      const double share = inverse / numbers;
      own[c] = static_cast<float>(sum * share);
      own[norm.channels + c] = static_cast<float>(product * share * inverse);
    }
  }
};

// What becomes of the sums, of g and of g h; null: nothing.
struct EndSums {
  Shares shares;
  double* totals;  // (segment, 2, channels)
  float *beta_gradient, *gamma_gradient;
  __device__ void operator()(int64_t segment, int channel, const double (&of_centred)[2]) const {
    const auto inverse = static_cast<double>(shares.norm.inverse(segment)[channel]);
    const double sum[] = {of_centred[0], of_centred[1] * inverse};
    if (shares.to != nullptr) shares.write(segment, channel, 1, &sum[0], &sum[1]);
    if (totals != nullptr) {
      const int channels = shares.norm.channels;
      totals[segment * 2 * channels + channel] = sum[0];
      totals[(segment * 2 + 1) * channels + channel] = sum[1];
    }
    if (beta_gradient == nullptr) return;
    beta_gradient[channel] = static_cast<float>(sum[0]);
    gamma_gradient[channel] = static_cast<float>(sum[1]);
  }
};

__global__ void __launch_bounds__(kBlockThreads)
    group_shares_kernel(const __grid_constant__ Shares shares, const double* totals) {
  for_each_group(shares.norm, [&](int64_t segment, int first) {
    const double* const sums = totals + segment * 2 * shares.norm.channels + first;
    shares.write(segment, first, shares.norm.channels / shares.norm.groups, sums, sums + shares.norm.channels);
  });
}

// What EndSums makes of the sums of a batch, of nodes (share, 2, channels) in their order. Gradients are 0
// unless it `writes`.
__global__ void __launch_bounds__(kBlockThreads)
    join_sums_kernel(const __grid_constant__ EndSums end, const double* nodes, int shares, bool writes) {
  const int channels = end.shares.norm.channels;
  for_each_number(channels, [&](int64_t channel) {
    double sum[2] = {};
    for (int64_t share = 0; share < shares; ++share) {
      sum[0] += nodes[share * 2 * channels + channel];
      sum[1] += nodes[(share * 2 + 1) * channels + channel];
    }
    if (end.shares.to != nullptr) end.shares.write(0, static_cast<int>(channel), 1, &sum[0], &sum[1]);
    if (end.beta_gradient == nullptr) return;
    end.beta_gradient[channel] = writes ? static_cast<float>(sum[0]) : 0.0f;
    end.gamma_gradient[channel] = writes ? static_cast<float>(sum[1]) : 0.0f;
  });
}

// The sums of all segments, in their order: a block has 32 columns of totals, (segment, width). width = 2
// channels, beta's gradient and gamma's.
__global__ void __launch_bounds__(kBlockThreads)
    add_segments_kernel(const double* totals, int64_t segments, int channels, float* beta, float* gamma) {
  __shared__ double shared[kBlockThreads / 32][32];
  const int64_t width = int64_t{2} * channels, at = int64_t{blockIdx.x} * 32 + threadIdx.x % 32;
  double sum = 0.0;
  if (at < width) {
    for (int64_t segment = threadIdx.x / 32; segment < segments; segment += kBlockThreads / 32) {
      sum += totals[segment * width + at];
    }
  }
  shared[threadIdx.x / 32][threadIdx.x % 32] = sum;
  __syncthreads();
  if (threadIdx.x >= 32 || at >= width) return;
  for (int slot = 1; slot < kBlockThreads / 32; ++slot) sum += shared[slot][threadIdx.x];
  if (at < channels) {
    beta[at] = static_cast<float>(sum);
  } else {
    gamma[at - channels] = static_cast<float>(sum);
  }
}

template <bool kRamp>
struct NormGradient : Gradient<kRamp> {
  static constexpr int kBlocks = 3;
  const float* shares;  // null: of stored statistics
  template <int kVector>
  struct Lane : GradientLane<kVector, kRamp> {
    using Base = GradientLane<kVector, kRamp>;
    float share[2][kVector] = {};
    __device__ Lane(const NormGradient& a, int64_t segment, int c) : Base(a, segment, c) {
      if (a.shares == nullptr) return;
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        share[0][e] = a.shares[segment * 2 * a.norm.channels + c + e];
        share[1][e] = a.shares[(segment * 2 + 1) * a.norm.channels + c + e];
      }
    }
    __device__ Numbers<kVector> make(const typename Base::Maps& v) const {
      Numbers<kVector> dx;
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const float both = fmaf(this->centred(e, v), share[1][e], share[0][e]);
        dx.v[e] = fmaf(this->g(e, v), this->norm.scale[e], -both);
      }
      return dx;
    }
  };
};

RowWalk walk_of(const TrainingCall& call, const Norm& norm) {
  return plan_column_sums(norm.segments, norm.rows, norm.channels,
                          vector_of(norm.channels, {call.x.value, call.y.value, call.dy.value}));
}

// Sums for the gradients of parameters, and shares, which the launches afterwards find in the scratch.
template <bool kRamp>
const float* find_sums(const TrainingCall& call, const NormMemory& memory, const Gradient<kRamp>& gradient) {
  const Norm& norm = gradient.norm;
  const bool trained = memory.gamma_gradient != nullptr, batch = norm.segments == 1;
  const bool shared = call.dx.data != nullptr && !norm.stored, joined = norm.groups != norm.channels;
  if (!trained && !shared) return nullptr;
  const RowWalk walk = walk_of(call, norm);
  auto* const parts = reinterpret_cast<double*>(call.scratch);
  double* const totals = parts + walk.split_doubles(2);
  auto* const shares = reinterpret_cast<float*>(totals + norm.segments * 2 * norm.channels);
  const bool totals_wanted = (trained && !batch) || (shared && joined);
  const EndSums end = {{norm, shared && !joined ? shares : nullptr},
                       totals_wanted ? totals : nullptr,
                       batch ? memory.beta_gradient : nullptr,
                       batch ? memory.gamma_gradient : nullptr};
  column_sums(walk, GradientSums<kRamp>{gradient}, end, parts, call.arrivals, call.stream);
  if (shared && joined) {
    group_shares_kernel<<<grid_of(norm.segments * norm.groups), kBlockThreads, 0, call.stream>>>(
        Shares{norm, shares}, totals);
    FACEGEN_CUDA_CHECK_LAUNCH("shares of a norm's gradient");
  }
  if (trained && !batch) {
    add_segments_kernel<<<grid(divide_up(int64_t{2} * norm.channels, int64_t{32})), kBlockThreads, 0, call.stream>>>(
        totals, norm.segments, norm.channels, memory.beta_gradient, memory.gamma_gradient);
    FACEGEN_CUDA_CHECK_LAUNCH("a norm's gradients");
  }
  return shared ? shares : nullptr;
}

template <bool kRamp>
Gradient<kRamp> gradient_of(const TrainingCall& call, const Norm& norm) {
  const TrainingStep& s = call.step;
  return {norm, call.x.data, call.dy.data, call.y.data, s.activation, s.alpha, s.limit,
          make_ramp(s.activation, s.alpha)};
}

// joined: null, or what the sums of all shares of the batch have become.
template <bool kRamp>
void find_gradient(const TrainingCall& call, const NormMemory& memory, const Norm& norm, const float* joined) {
  const TrainingStep& s = call.step;
  const auto gradient = gradient_of<kRamp>(call, norm);
  const float* const shares = joined != nullptr ? joined : find_sums(call, memory, gradient);
  if (call.dx.data == nullptr) return;
  make_pixels(NormGradient<kRamp>{gradient, shares}, {call.dx.data, norm.channels, s.accumulate, call.operand},
              norm.segments, norm.rows,
              vector_of(norm.channels, {call.x.value, call.y.value, call.dy.value, call.dx.value}), call.stream);
}

void find_gradient(const TrainingCall& call, const NormMemory& memory, const Norm& norm,
                   const float* joined = nullptr) {
  return is_ramp(call.step.activation) ? find_gradient<true>(call, memory, norm, joined)
                                       : find_gradient<false>(call, memory, norm, joined);
}

template <bool kRamp>
void find_node(const TrainingCall& call, const Norm& norm, double* node) {
  const EndSums end = {{norm, nullptr}, node, nullptr, nullptr};
  column_sums(walk_of(call, norm), GradientSums<kRamp>{gradient_of<kRamp>(call, norm)}, end,
              reinterpret_cast<double*>(call.scratch), call.arrivals, call.stream);
}

}  // namespace

void run_batch_norm_gradient(const TrainingCall& call, const NormMemory& memory, const float* shares) {
  const bool joined = call.part.shares > 1 && !call.step.stored;
  find_gradient(call, memory, batch_norm_of(call, memory), joined ? shares : nullptr);
}

void find_norm_gradient_node(const TrainingCall& call, const NormMemory& memory, double* node) {
  const Norm norm = batch_norm_of(call, memory);
  is_ramp(call.step.activation) ? find_node<true>(call, norm, node) : find_node<false>(call, norm, node);
}

void join_norm_gradients(const TrainingCall& call, const NormMemory& memory, const double* nodes, bool writes,
                         float* shares) {
  Norm norm = batch_norm_of(call, memory);
  norm.rows = call.part.whole * call.x.value->pixels();
  const EndSums end = {{norm, call.dx.data == nullptr ? nullptr : shares}, nullptr, memory.beta_gradient,
                       memory.gamma_gradient};
  join_sums_kernel<<<grid_of(norm.channels), kBlockThreads, 0, call.stream>>>(end, nodes, call.part.shares, writes);
  FACEGEN_CUDA_CHECK_LAUNCH("sums of a batch in shares");
}

void run_instance_norm_gradient(const TrainingCall& call, const NormMemory& memory) {
  find_gradient(call, memory, instance_norm_of(call, memory));
}

}  // namespace facegen::cuda
