#include "cpu/training/norms.h"

#include <algorithm>
#include <cmath>

#include "cpu/memory.h"
#include "cpu/training/tree.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

constexpr int64_t kChannels = 64;  // of a task: four cache lines of every pixel

// body(chunk, first channel, channels) for every chunk of images and group of channels.
template <typename Body>
void for_each_chunk(int64_t images, int64_t channels, int threads, Body body) {
  const int64_t groups = divide_up(channels, kChannels);
  parallel_for(Chunks{images}.count() * groups, threads, [&](int64_t task, int) {
    const int64_t first = task % groups * kChannels;
    body(task / groups, first, std::min(kChannels, channels - first));
  });
}

// Mean and sum of squared differences from it, of so many numbers.
struct Moments {
  double mean = 0.0, squares = 0.0, count = 0.0;

  // Those of both (Chan, Golub, LeVeque 1983).
  void add(const Moments& other) {
    const double all = count + other.count, difference = other.mean - mean;
    mean += difference * other.count / all;
    squares += other.squares + difference * difference * count * other.count / all;
    count = all;
  }
};

float inverse_deviation(double variance, float eps) {
  return static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(eps)));
}

// Of each channel, over some pixels.
void find_moments(const TrainingStepCall& call, const float* x, int64_t first, int64_t channels,
                  Moments* found) {
  double sum[kChannels], squares[kChannels];
  const auto pixels = static_cast<double>(call.x.value->pixels());
  call.kernels.moments(x + first, call.x.value->c, call.x.value->pixels(),
                       static_cast<int>(channels), sum, squares);
  for (int64_t c = 0; c < channels; ++c) {
    const double mean = sum[c] / pixels;  // of x - x0
    found[c] = {static_cast<double>(x[first + c]) + mean,
                std::max(0.0, squares[c] - sum[c] * mean), pixels};
  }
}

void find_batch_statistics(const TrainingStepCall& call, float* statistics) {
  static thread_local Scratch scratch;
  const int64_t channels = call.x.value->c;
  const Chunks chunks = {call.images};
  Moments* const moments = scratch.get<Moments>(chunks.count() * channels);
  for_each_chunk(call.images, channels, call.threads, [&](int64_t chunk, int64_t first, int64_t n) {
    Moments* const sum = moments + chunk * channels + first;
    Moments of_image[kChannels];
    for (int64_t image = chunks.first(chunk); image < chunks.last(chunk); ++image) {
      find_moments(call, call.x.image(image), first, n, of_image);
      for (int64_t c = 0; c < n; ++c) {
        if (image == chunks.first(chunk)) {
          sum[c] = of_image[c];
        } else {
          sum[c].add(of_image[c]);
        }
      }
    }
  });
  for (int64_t apart = 1; apart < chunks.count(); apart *= 2) {
    for (int64_t i = 0; i + apart < chunks.count(); i += 2 * apart) {
      for (int64_t c = 0; c < channels; ++c) {
        moments[i * channels + c].add(moments[(i + apart) * channels + c]);
      }
    }
  }
  call.sharing.all_reduce(moments, channels, [channels](Moments* left, const Moments* right) {
    for (int64_t c = 0; c < channels; ++c) left[c].add(right[c]);
  });
  for (int64_t c = 0; c < channels; ++c) {
    const double variance = moments[c].squares / moments[c].count;
    statistics[c] = static_cast<float>(moments[c].mean);
    statistics[channels + c] = inverse_deviation(variance, call.step.eps);
    statistics[2 * channels + c] = static_cast<float>(variance);
  }
}

NormGradientRow gradient_row(const TrainingStepCall& call, int64_t image, int64_t first,
                             int64_t channels, const float* mean, const float* inverse) {
  return {call.activation(),         call.x.image(image) + first, call.y.image(image) + first,
          call.dy.image(image) + first, mean + first, inverse + first,
          call.x.value->pixels(),    call.x.value->c,             static_cast<int>(channels)};
}

// Sums of g and of g h by channels over a batch: (2, channels), in `sums` of all chunks.
void find_gradient_sums(const TrainingStepCall& call, const float* statistics, double* sums) {
  const int64_t channels = call.x.value->c;
  const Chunks chunks = {call.images};
  for_each_chunk(call.images, channels, call.threads, [&](int64_t chunk, int64_t first, int64_t n) {
    double* const sum = sums + chunk * 2 * channels + first;
    std::fill_n(sum, n, 0.0);
    std::fill_n(sum + channels, n, 0.0);
    for (int64_t image = chunks.first(chunk); image < chunks.last(chunk); ++image) {
      call.training.norm_sums(
          gradient_row(call, image, first, n, statistics, statistics + channels), sum,
          sum + channels);
    }
  });
  add_in_pairs(sums, chunks.count(), 2 * channels);
}

// What norm_gradient takes by channels: gamma / deviation, and the means of both sums, times gamma, over
// the pixels of a group of channels that have their statistics in common, over the deviation.
struct Shares {
  float* factor;
  float* sum;
  float* product;
};
void find_shares(const double* sums, int64_t channels, int64_t groups, double pixels,
                 const float* gamma, const float* inverse, Shares shares) {
  const int64_t members = channels / groups;
  for (int64_t first = 0; first < channels; first += members) {
    double sum = 0.0, product = 0.0;
    for (int64_t c = first; c < first + members; ++c) {
      sum += static_cast<double>(gamma[c]) * sums[c];
      product += static_cast<double>(gamma[c]) * sums[channels + c];
    }
    for (int64_t c = first; c < first + members; ++c) {
      const double share = static_cast<double>(inverse[c]) / (pixels * static_cast<double>(members));
      shares.factor[c] = gamma[c] * inverse[c];
      shares.sum[c] = static_cast<float>(sum * share);
      shares.product[c] = static_cast<float>(product * share);
    }
  }
}

}  // namespace

void batch_norm(const TrainingStepCall& call, const NormArrays& arrays) {
  const int64_t channels = call.x.value->c;
  if (call.step.stored) {
    for (int64_t c = 0; c < channels; ++c) {
      arrays.statistics[c] = arrays.mean[c];
      arrays.statistics[channels + c] =
          inverse_deviation(static_cast<double>(arrays.var[c]), call.step.eps);
      arrays.statistics[2 * channels + c] = arrays.var[c];
    }
  } else {
    find_batch_statistics(call, arrays.statistics);
  }
  static thread_local Scratch scratch;
  float* const scale = scratch.get<float>(channels);
  for (int64_t c = 0; c < channels; ++c) scale[c] = arrays.gamma[c] * arrays.statistics[channels + c];
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    call.training.normalise(call.activation(), call.x.image(image), arrays.statistics, scale,
                            arrays.beta, call.x.value->pixels(), static_cast<int>(channels),
                            call.y.image(image));
  });
}

void batch_norm_gradient(const TrainingStepCall& call, const NormArrays& arrays) {
  static thread_local Scratch sum_scratch, share_scratch;
  const int64_t channels = call.x.value->c;
  double* const sums =
      sum_scratch.get<double>(Chunks{call.images}.count() * 2 * channels);
  find_gradient_sums(call, arrays.statistics, sums);
  if (call.step.trained) {
    std::copy_n(sums, channels, arrays.beta_gradient);
    std::copy_n(sums + channels, channels, arrays.gamma_gradient);
  }
  if (call.dx.data == nullptr) return;
  if (!call.step.stored) call.sharing.add_up(sums, 2 * channels);
  float* const memory = share_scratch.get<float>(3 * channels);
  const Shares shares = {memory, memory + channels, memory + 2 * channels};
  find_shares(sums, channels, channels,
              static_cast<double>(call.whole.images * call.x.value->pixels()),
              arrays.gamma, arrays.statistics + channels, shares);
  if (call.step.stored) std::fill_n(shares.sum, 2 * channels, 0.0f);
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    call.training.norm_gradient(gradient_row(call, image, 0, channels, arrays.statistics,
                                             arrays.statistics + channels),
                                shares.factor, shares.sum, shares.product, call.dx.image(image),
                                call.step.accumulate);
  });
}

void instance_norm(const TrainingStepCall& call, const NormArrays& arrays) {
  const int64_t channels = call.x.value->c;
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    static thread_local Scratch scratch, moments_scratch;
    float* const scale = scratch.get<float>(channels);
    auto* const moments = moments_scratch.get<Moments>(channels);
    float* const statistics = arrays.statistics + image * 2 * channels;
    for (int64_t first = 0; first < channels; first += kChannels) {
      find_moments(call, call.x.image(image), first, std::min(kChannels, channels - first),
                   moments + first);
    }
    const int64_t members = channels / call.step.groups;
    for (int64_t first = 0; first < channels; first += members) {
      Moments group = moments[first];
      for (int64_t c = first + 1; c < first + members; ++c) group.add(moments[c]);
      const auto mean = static_cast<float>(group.mean);
      const float inverse = inverse_deviation(group.squares / group.count, call.step.eps);
      for (int64_t c = first; c < first + members; ++c) {
        statistics[c] = mean;
        statistics[channels + c] = inverse;
        scale[c] = arrays.gamma[c] * inverse;
      }
    }
    call.training.normalise(call.activation(), call.x.image(image), statistics, scale, arrays.beta,
                            call.x.value->pixels(), static_cast<int>(channels),
                            call.y.image(image));
  });
}

void instance_norm_gradient(const TrainingStepCall& call, const NormArrays& arrays) {
  static thread_local Scratch sum_scratch;
  const int64_t channels = call.x.value->c;
  const Chunks chunks = {call.images};
  double* const totals = sum_scratch.get<double>(chunks.count() * 2 * channels);
  parallel_for(chunks.count(), call.threads, [&](int64_t chunk, int) {
    static thread_local Scratch scratch, share_scratch;
    double* const total = totals + chunk * 2 * channels;
    double* const sums = scratch.get<double>(2 * channels);
    float* const memory = share_scratch.get<float>(3 * channels);
    const Shares shares = {memory, memory + channels, memory + 2 * channels};
    std::fill_n(total, 2 * channels, 0.0);
    for (int64_t image = chunks.first(chunk); image < chunks.last(chunk); ++image) {
      const float* const mean = arrays.statistics + image * 2 * channels;
      const NormGradientRow row = gradient_row(call, image, 0, channels, mean, mean + channels);
      std::fill_n(sums, 2 * channels, 0.0);
      call.training.norm_sums(row, sums, sums + channels);
      for (int64_t c = 0; c < 2 * channels; ++c) total[c] += sums[c];
      if (call.dx.data == nullptr) continue;
      find_shares(sums, channels, call.step.groups, static_cast<double>(call.x.value->pixels()),
                  arrays.gamma, mean + channels, shares);
      call.training.norm_gradient(row, shares.factor, shares.sum, shares.product,
                                  call.dx.image(image), call.step.accumulate);
    }
  });
  if (!call.step.trained) return;
  add_in_pairs(totals, chunks.count(), 2 * channels);
  std::copy_n(totals, channels, arrays.beta_gradient);
  std::copy_n(totals + channels, channels, arrays.gamma_gradient);
}

void update_statistics(const TrainingStepCall& call, const NormArrays& arrays) {
  const int64_t channels = call.x.value->c;
  const auto pixels = static_cast<double>(call.whole.images * call.x.value->pixels());
  const double unbiased = pixels / std::max(1.0, pixels - 1.0);
  const auto momentum = static_cast<double>(call.step.momentum);
  const auto move = [momentum](float& stored, double to) {
    stored = static_cast<float>((1.0 - momentum) * static_cast<double>(stored) + momentum * to);
  };
  for (int64_t c = 0; c < channels; ++c) {
    move(arrays.mean[c], static_cast<double>(arrays.statistics[c]));
    move(arrays.var[c], unbiased * static_cast<double>(arrays.statistics[2 * channels + c]));
  }
}

void bias_gradient(const TrainingStepCall& call, double* gradient) {
  static thread_local Scratch scratch;
  const int64_t channels = call.dy.value->c;
  const Chunks chunks = {call.images};
  double* const sums = scratch.get<double>(chunks.count() * channels);
  for_each_chunk(call.images, channels, call.threads, [&](int64_t chunk, int64_t first, int64_t n) {
    double* const sum = sums + chunk * channels + first;
    std::fill_n(sum, n, 0.0);
    const int64_t pixels = (chunks.last(chunk) - chunks.first(chunk)) * call.dy.value->pixels();
    call.training.channel_sums(call.dy.image(chunks.first(chunk)) + first, pixels, channels,
                               static_cast<int>(n), sum);
  });
  add_in_pairs(sums, chunks.count(), channels);
  std::copy_n(sums, channels, gradient);
}

}  // namespace facegen::cpu
