#include "cpu/training/products.h"

#include <algorithm>

#include "cpu/memory.h"
#include "cpu/training/tree.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// body(image, pixel) for every pixel of a value.
template <typename Body>
void for_each_pixel(const TrainingStepCall& call, const TrainingValue& value, Body body) {
  parallel_for(call.images * value.h, call.threads, [&](int64_t task, int) {
    const int64_t image = task / value.h, first = task % value.h * value.w;
    for (int64_t p = first; p < first + value.w; ++p) body(image, p);
  });
}

void put(float& to, float value, bool accumulate) { to = accumulate ? to + value : value; }

}  // namespace

void multiply(const TrainingStepCall& call) {
  const TrainingValue &x = *call.x.value, &other = *call.other.value;
  const bool accumulate = call.step.accumulate, one_channel = other.c != x.c;
  const bool one_pixel = other.pixels() != x.pixels();
  for_each_pixel(call, x, [&](int64_t image, int64_t p) {
    const float* const a = call.x.image(image) + p * x.c;
    const float* const b = call.other.image(image) + (one_pixel ? 0 : p) * other.c;
    float* const y = call.y.image(image) + p * x.c;
    if (one_channel) {
      call.training.scale_and_shift(a, *b, 0.0f, y, x.c, accumulate);
    } else {
      call.training.multiply(a, b, y, x.c, accumulate);
    }
  });
}

void multiply_sum(const TrainingStepCall& call) {
  const TrainingValue &x = *call.x.value, &to = *call.dx.value;
  if (to.c != x.c) {
    return for_each_pixel(call, x, [&](int64_t image, int64_t p) {
      const double sum = call.training.dot(call.x.image(image) + p * x.c,
                                           call.dy.image(image) + p * x.c, x.c);
      put(call.dx.image(image)[p], static_cast<float>(sum), call.step.accumulate);
    });
  }
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    static thread_local Scratch scratch;
    double* const sum = scratch.get<double>(x.c);
    std::fill_n(sum, x.c, 0.0);
    call.training.channel_products(call.dy.image(image), x.c, call.x.image(image), x.c, x.pixels(),
                                   x.c, false, sum);
    for (int64_t c = 0; c < x.c; ++c) {
      put(call.dx.image(image)[c], static_cast<float>(sum[c]), call.step.accumulate);
    }
  });
}

void prelu(const TrainingStepCall& call, const float* slopes) {
  const TrainingValue& x = *call.x.value;
  for_each_pixel(call, x, [&](int64_t image, int64_t p) {
    call.training.prelu(call.x.image(image) + p * x.c, slopes, 1, x.c,
                        call.y.image(image) + p * x.c);
  });
}

void prelu_gradient(const TrainingStepCall& call, const float* slopes, double* gradient) {
  static thread_local Scratch scratch;
  const TrainingValue& x = *call.x.value;
  const Chunks chunks = {call.images};
  double* const sums = scratch.get<double>(chunks.count() * x.c);
  parallel_for(chunks.count(), call.threads, [&](int64_t chunk, int) {
    double* const sum = sums + chunk * x.c;
    std::fill_n(sum, x.c, 0.0);
    const int64_t first = chunks.first(chunk);
    const int64_t pixels = (chunks.last(chunk) - first) * x.pixels();
    if (gradient != nullptr) {
      call.training.channel_products(call.dy.image(first), x.c, call.x.image(first), x.c, pixels,
                                     x.c, true, sum);
    }
    if (call.dx.data == nullptr) return;
    call.training.prelu_gradient(call.x.image(first), call.dy.image(first), slopes, pixels, x.c,
                                 call.dx.image(first), call.step.accumulate);
  });
  if (gradient == nullptr) return;
  add_in_pairs(sums, chunks.count(), x.c);
  std::copy_n(sums, x.c, gradient);
}

void softmax(const TrainingStepCall& call) {
  const TrainingValue& x = *call.x.value;
  for_each_pixel(call, x, [&](int64_t image, int64_t p) {
    call.kernels.softmax(call.x.image(image) + p * x.c, call.y.image(image) + p * x.c, x.c,
                         call.step.log);
  });
}

void softmax_gradient(const TrainingStepCall& call) {
  const TrainingValue& y = *call.y.value;
  for_each_pixel(call, y, [&](int64_t image, int64_t p) {
    call.training.softmax_gradient(call.y.image(image) + p * y.c, call.dy.image(image) + p * y.c,
                                   call.dx.image(image) + p * y.c, y.c, call.step.log,
                                   call.step.accumulate);
  });
}

void shuffle(const TrainingStepCall& call) {
  const TrainingValue& x = *call.x.value;
  const int64_t groups = call.step.groups, members = x.c / groups;
  for_each_pixel(call, x, [&](int64_t image, int64_t p) {
    const float* const from = call.x.image(image) + p * x.c;
    float* const to = call.y.image(image) + p * x.c;
    for (int64_t g = 0; g < groups; ++g) {
      for (int64_t i = 0; i < members; ++i) {
        put(to[i * groups + g], from[g * members + i], call.step.accumulate);
      }
    }
  });
}

void rearrange(const TrainingStepCall& call) {
  const bool to_pixels = call.y.value->pixels() > call.x.value->pixels();
  const Batch &blocks = to_pixels ? call.x : call.y, &pixels = to_pixels ? call.y : call.x;
  const int64_t block = call.step.block, channels = pixels.value->c, width = blocks.value->w;
  for_each_pixel(call, *blocks.value, [&](int64_t image, int64_t p) {
    float* const of_block = blocks.image(image) + p * blocks.value->c;
    for (int64_t place = 0; place < block * block; ++place) {
      const int64_t y = p / width * block + place / block, x = p % width * block + place % block;
      float* const of_pixel = pixels.image(image) + (y * pixels.value->w + x) * channels;
      for (int64_t c = 0; c < channels; ++c) {
        float& inside = of_block[call.step.depth_first ? place * channels + c
                                                       : c * block * block + place];
        if (to_pixels) {
          put(of_pixel[c], inside, call.step.accumulate);
        } else {
          put(inside, of_pixel[c], call.step.accumulate);
        }
      }
    }
  });
}

}  // namespace facegen::cpu
