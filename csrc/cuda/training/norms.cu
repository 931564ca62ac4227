// Batch, instance and group norms in training: statistics in one launch, of groups of channels in two; then
// all pixels in one.
#include "cuda/fit/shares.h"
#include "cuda/training/norm.cuh"

namespace facegen::cuda {
namespace {

__device__ inline float inverse_deviation(double variance, float eps) {
  return static_cast<float>(1.0 / sqrt(variance + static_cast<double>(eps)));
}

// Sums of x - x0 and of its square, x0 the segment's first: a mean far from 0 costs no digits.
struct Moments {
  static constexpr int kSums = 2, kMaps = 1, kTogether = 4, kBlocks = 4;
  const float* x;
  int64_t rows;  // of a segment
  int32_t channels;

  template <int kVector>
  struct Lane {
    const float* x;
    double start[kVector];
    __device__ Lane(const Moments& m, int64_t segment, int channel) : x(m.x) {
      const auto first = load_numbers<kVector>(x + segment * m.rows * m.channels + channel);
#pragma unroll
      for (int e = 0; e < kVector; ++e) start[e] = static_cast<double>(first.v[e]);
    }
    __device__ void read(int64_t, int64_t i, Numbers<kVector> (&v)[1]) const { v[0] = load_numbers<kVector>(x + i); }
    __device__ void add(const Numbers<kVector> (&v)[1], double (&sum)[2][kVector]) const {
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const double difference = static_cast<double>(v[0].v[e]) - start[e];
        sum[0][e] += difference;
        sum[1][e] = fma(difference, difference, sum[1][e]);
      }
    }
  };
};

// The mean of `count` numbers, and the sum of squares of what they are away from it. Those of other numbers
// are joined (Chan, Golub, LeVeque 1983).
struct Spread {
  double mean = 0.0, squares = 0.0, count = 0.0;
  __device__ void join(const Spread& other) {
    const double all = count + other.count, difference = other.mean - mean;
    mean += difference * other.count / all;
    squares += other.squares + difference * difference * count * other.count / all;
    count = all;
  }
};

// Statistics from the sums of Moments.
struct Statistics {
  Norm norm;
  const float* x;
  float eps;

  __device__ Spread spread(int64_t segment, int channel, double sum, double squared) const {
    const auto rows = static_cast<double>(norm.rows);
    const double shift = sum / rows;
    const double own = static_cast<double>(x[segment * norm.rows * norm.channels + channel]) + shift;
    return {own, fmax(0.0, squared - sum * shift), rows};
  }

  // Of `members` channels, whose numbers are joined.
  __device__ void write(int64_t segment, int first, int members, const double* sums, const double* squared) const {
    Spread all;
    for (int c = 0; c < members; ++c) all.join(spread(segment, first + c, sums[c], squared[c]));
    write(segment, first, members, all);
  }

  __device__ void write(int64_t segment, int first, int members, const Spread& all) const {
    // A NaN is no larger than 0, but must be seen.
    const double variance = all.squares / all.count + (all.mean - all.mean);
    float* const to = norm.statistics + segment * norm.planes * norm.channels + first;
    for (int c = 0; c < members; ++c) {
      to[c] = static_cast<float>(all.mean);
      to[norm.channels + c] = inverse_deviation(variance, eps);
      if (norm.planes == 3) to[2 * norm.channels + c] = static_cast<float>(variance);
    }
  }
};

// Ends the sums: with statistics, or where groups wait for others' sums with totals, (segment, 2, channels).
struct EndMoments {
  Statistics statistics;
  double* totals;  // null: statistics
  __device__ void operator()(int64_t segment, int channel, const double (&sum)[2]) const {
    if (totals == nullptr) return statistics.write(segment, channel, 1, &sum[0], &sum[1]);
    const int channels = statistics.norm.channels;
    totals[segment * 2 * channels + channel] = sum[0];
    totals[(segment * 2 + 1) * channels + channel] = sum[1];
  }
};

// Ends a share's sums: with its node, mean and squares by channels.
struct EndNode {
  Statistics statistics;
  double* node;
  __device__ void operator()(int64_t segment, int channel, const double (&sum)[2]) const {
    const Spread spread = statistics.spread(segment, channel, sum[0], sum[1]);
    node[channel] = spread.mean;
    node[statistics.norm.channels + channel] = spread.squares;
  }
};

// The statistics of a batch from the nodes of its shares, whose images have so many pixels each.
__global__ void __launch_bounds__(kBlockThreads)
    join_nodes_kernel(const __grid_constant__ Statistics s, const double* nodes, int64_t images, int64_t pixels,
                      int shares) {
  const int channels = s.norm.channels;
  for_each_number(channels, [&](int64_t channel) {
    Spread all;
    for (int64_t share = 0; share < shares; ++share) {
      const double* const node = nodes + share * 2 * channels + channel;
      const int64_t count = share_first(images, share + 1, shares) - share_first(images, share, shares);
      all.join({node[0], node[channels], static_cast<double>(count * pixels)});
    }
    s.write(0, static_cast<int>(channel), 1, all);
  });
}

__global__ void __launch_bounds__(kBlockThreads)
    group_statistics_kernel(const __grid_constant__ Statistics s, const double* totals) {
  for_each_group(s.norm, [&](int64_t segment, int first) {
    const double* const sums = totals + segment * 2 * s.norm.channels + first;
    s.write(segment, first, s.norm.channels / s.norm.groups, sums, sums + s.norm.channels);
  });
}

__global__ void __launch_bounds__(kBlockThreads)
    stored_statistics_kernel(const float* mean, const float* var, float eps, int channels, float* to) {
  for_each_number(channels, [&](int64_t c) {
    to[c] = mean[c];
    to[channels + c] = inverse_deviation(static_cast<double>(var[c]), eps);
    to[2 * channels + c] = var[c];
  });
}

template <bool kRamp>
struct Normalise {
  static constexpr int kMaps = 1, kTogether = kRamp ? kRunRows : 1, kBlocks = 4;
  Norm norm;
  const float* x;
  Activation activation;
  float alpha, limit;
  Ramp ramp;

  template <int kVector>
  struct Lane {
    const Normalise& all;
    NormLane<kVector> norm;
    __device__ Lane(const Normalise& a, int64_t segment, int channel) : all(a), norm(a.norm, segment, channel) {}
    __device__ void read(int64_t i, Numbers<kVector> (&v)[1]) const { v[0] = load_numbers<kVector>(all.x + i); }
    __device__ Numbers<kVector> make(const Numbers<kVector> (&v)[1]) const {
      Numbers<kVector> y;
#pragma unroll
      for (int e = 0; e < kVector; ++e) {
        const float h = norm.normalise(e, v[0].v[e]);
        y.v[e] = kRamp ? all.ramp.apply(h) : activate_one(h, all.activation, all.alpha, all.limit);
      }
      return y;
    }
  };
};

RowWalk walk_of(const TrainingCall& call, const Norm& norm) {
  return plan_column_sums(norm.segments, norm.rows, norm.channels, vector_of(norm.channels, {call.x.value}));
}

void find_statistics(const TrainingCall& call, const Norm& norm) {
  const RowWalk walk = walk_of(call, norm);
  auto* const parts = reinterpret_cast<double*>(call.scratch);
  double* const totals = norm.groups == norm.channels ? nullptr : parts + walk.split_doubles(2);
  const Statistics statistics = {norm, call.x.data, call.step.eps};
  column_sums(walk, Moments{call.x.data, norm.rows, norm.channels}, EndMoments{statistics, totals}, parts,
              call.arrivals, call.stream);
  if (totals == nullptr) return;
  group_statistics_kernel<<<grid_of(norm.segments * norm.groups), kBlockThreads, 0, call.stream>>>(statistics, totals);
  FACEGEN_CUDA_CHECK_LAUNCH("statistics of groups");
}

template <bool kRamp>
void normalise(const TrainingCall& call, const Norm& norm) {
  const TrainingStep& s = call.step;
  const Normalise<kRamp> all = {norm,    call.x.data, s.activation, s.alpha,
                                s.limit, make_ramp(s.activation, s.alpha)};
  make_pixels(all, {call.y.data, norm.channels, false, call.operand}, norm.segments, norm.rows,
              vector_of(norm.channels, {call.x.value, call.y.value}), call.stream);
}

void normalise(const TrainingCall& call, const Norm& norm) {
  return is_ramp(call.step.activation) ? normalise<true>(call, norm) : normalise<false>(call, norm);
}

__global__ void __launch_bounds__(kBlockThreads)
    update_statistics_kernel(float* mean, float* var, const float* statistics, int channels,
                             double momentum, double unbiased, const StepState* state) {
  if (!state->finite) return;
  for_each_number(channels, [&](int64_t c) {
    const auto move = [momentum](float& stored, double to) {
      stored = static_cast<float>((1.0 - momentum) * static_cast<double>(stored) + momentum * to);
    };
    move(mean[c], static_cast<double>(statistics[c]));
    move(var[c], unbiased * static_cast<double>(statistics[2 * channels + c]));
  });
}

}  // namespace

void run_batch_norm(const TrainingCall& call, const NormMemory& memory) {
  const Norm norm = batch_norm_of(call, memory);
  if (norm.stored) {
    stored_statistics_kernel<<<grid_of(norm.channels), kBlockThreads, 0, call.stream>>>(
        memory.mean, memory.var, call.step.eps, norm.channels, memory.statistics);
    FACEGEN_CUDA_CHECK_LAUNCH("stored statistics");
  } else if (call.part.shares == 1) {
    find_statistics(call, norm);
  }
  normalise(call, norm);
}

void find_norm_node(const TrainingCall& call, const NormMemory& memory, double* node) {
  const Norm norm = batch_norm_of(call, memory);
  const Statistics statistics = {norm, call.x.data, call.step.eps};
  column_sums(walk_of(call, norm), Moments{call.x.data, norm.rows, norm.channels}, EndNode{statistics, node},
              reinterpret_cast<double*>(call.scratch), call.arrivals, call.stream);
}

void join_norm(const TrainingCall& call, const NormMemory& memory, const double* nodes) {
  const Statistics statistics = {batch_norm_of(call, memory), call.x.data, call.step.eps};
  join_nodes_kernel<<<grid_of(statistics.norm.channels), kBlockThreads, 0, call.stream>>>(
      statistics, nodes, call.part.whole, call.x.value->pixels(), call.part.shares);
  FACEGEN_CUDA_CHECK_LAUNCH("statistics of a batch in shares");
}

void run_instance_norm(const TrainingCall& call, const NormMemory& memory) {
  const Norm norm = instance_norm_of(call, memory);
  find_statistics(call, norm);
  normalise(call, norm);
}

void run_update_statistics(const TrainingCall& call, const NormMemory& memory, const StepState* state) {
  const int channels = call.x.value->c;
  const auto pixels = static_cast<double>(call.images * call.x.value->pixels());
  const double unbiased = pixels / (pixels > 1.0 ? pixels - 1.0 : 1.0);
  update_statistics_kernel<<<grid_of(channels), kBlockThreads, 0, call.stream>>>(
      memory.mean, memory.var, memory.statistics, channels, static_cast<double>(call.step.momentum),
      unbiased, state);
  FACEGEN_CUDA_CHECK_LAUNCH("running statistics");
}

}  // namespace facegen::cuda
