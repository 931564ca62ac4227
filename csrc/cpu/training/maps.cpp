#include "cpu/training/maps.h"

#include <algorithm>

#include "cpu/memory.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// body(first, count) for all numbers of a value, in parts.
template <typename Body>
void for_each_part(const TrainingStepCall& call, int64_t floats, Body body) {
  constexpr int64_t kPart = 16 << 10;
  const int64_t all = call.images * floats;
  parallel_for(divide_up(all, kPart), call.threads, [&](int64_t part, int) {
    body(part * kPart, std::min(kPart, all - part * kPart));
  });
}

// The rows of the input that a row of a pool's windows holds.
struct Rows {
  int first, last;
};
Rows rows_of(const Window& pool, int64_t oy, int height) {
  const int64_t y = oy * pool.stride_h - pool.pad_top;
  return {static_cast<int>(std::max<int64_t>(y, 0)),
          static_cast<int>(std::min<int64_t>(y + pool.kernel_h, height))};
}

}  // namespace

void activate(const TrainingStepCall& call) {
  for_each_part(call, call.y.floats(), [&](int64_t first, int64_t count) {
    call.training.activate(call.activation(), call.x.data + first, call.y.data + first, count);
  });
}

void activate_gradient(const TrainingStepCall& call) {
  for_each_part(call, call.y.floats(), [&](int64_t first, int64_t count) {
    call.training.activate_gradient(call.activation(), call.y.data + first, call.dy.data + first,
                                    call.dx.data + first, count, call.step.accumulate);
  });
}

void max_pool(const TrainingStepCall& call) {
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  const Window& pool = call.step.window;
  parallel_for(call.images * y.h, call.threads, [&](int64_t task, int) {
    static thread_local Scratch scratch;
    const int64_t image = task / y.h, oy = task % y.h;
    auto* const lines = scratch.get<const float*>(std::min(pool.kernel_h, x.h));
    const Rows rows = rows_of(pool, oy, x.h);
    for (int iy = rows.first; iy < rows.last; ++iy) {
      lines[iy - rows.first] = call.x.image(image) + int64_t{iy} * x.w * x.c;
    }
    call.kernels.max_pool({lines, rows.last - rows.first, x.c, x.w, pool.kernel_w, pool.stride_w,
                           pool.pad_left, call.y.image(image) + oy * y.w * y.c, y.c, y.w, y.c});
  });
}

void max_pool_gradient(const TrainingStepCall& call) {
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  const Window& pool = call.step.window;
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    static thread_local Scratch x_scratch, dx_scratch;
    const int64_t most = std::min(pool.kernel_h, x.h);
    auto* const x_lines = x_scratch.get<const float*>(most);
    auto* const dx_lines = dx_scratch.get<float*>(most);
    if (!call.step.accumulate) std::fill_n(call.dx.image(image), call.dx.floats(), 0.0f);
    for (int64_t oy = 0; oy < y.h; ++oy) {
      const Rows rows = rows_of(pool, oy, x.h);
      for (int iy = rows.first; iy < rows.last; ++iy) {
        const int64_t line = int64_t{iy} * x.w * x.c;
        x_lines[iy - rows.first] = call.x.image(image) + line;
        dx_lines[iy - rows.first] = call.dx.image(image) + line;
      }
      call.training.max_pool_gradient(
          x_lines, dx_lines, rows.last - rows.first, x.w, pool.kernel_w, pool.stride_w,
          pool.pad_left, call.y.image(image) + oy * y.w * y.c,
          call.dy.image(image) + oy * y.w * y.c, y.w, y.c);
    }
    if (call.step.activation == Activation::kNone) return;
    call.training.activate_gradient(call.activation(), call.x.image(image), call.dx.image(image),
                                    call.dx.image(image), call.dx.floats(), false);
  });
}

void global_avg_pool(const TrainingStepCall& call) {
  const int64_t channels = call.x.value->c, pixels = call.x.value->pixels();
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    static thread_local Scratch scratch;
    double* const sum = scratch.get<double>(channels);
    std::fill_n(sum, channels, 0.0);
    call.training.channel_sums(call.x.image(image), pixels, channels, static_cast<int>(channels),
                               sum);
    float* const y = call.y.image(image);
    for (int64_t c = 0; c < channels; ++c) {
      y[c] = static_cast<float>(sum[c] / static_cast<double>(pixels));
    }
  });
}

void global_avg_pool_gradient(const TrainingStepCall& call) {
  const int64_t channels = call.dx.value->c, pixels = call.dx.value->pixels();
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    for (int64_t p = 0; p < pixels; ++p) {
      call.training.scale_and_shift(call.dy.image(image), 1.0f / static_cast<float>(pixels), 0.0f,
                                    call.dx.image(image) + p * channels, channels,
                                    call.step.accumulate);
    }
  });
}

void copy(const TrainingStepCall& call) {
  const TrainingStep& s = call.step;
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  if (s.channels == x.c && s.channels == y.c) {
    for_each_part(call, y.floats(), [&](int64_t first, int64_t count) {
      call.training.scale_and_shift(call.x.data + first, s.scale, s.shift, call.y.data + first,
                                    count, s.accumulate);
    });
    return;
  }
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    if (s.zero_rest) std::fill_n(call.y.image(image), y.floats(), 0.0f);
    for (int64_t p = 0; p < y.pixels(); ++p) {
      call.training.scale_and_shift(call.x.image(image) + p * x.c + s.first_x, s.scale, s.shift,
                                    call.y.image(image) + p * y.c + s.first_y, s.channels,
                                    s.accumulate);
    }
  });
}

namespace {

// body(input pixel, output pixel, weight) for all that each pixel of the output is made of.
template <typename Body>
void for_each_share(const TrainingStep& s, const TrainingValue& in, const TrainingValue& out,
                    Body body) {
  for (int64_t oy = 0; oy < out.h; ++oy) {
    for (int64_t ox = 0; ox < out.w; ++ox) {
      for (int64_t ty = oy * s.rows.taps; ty < (oy + 1) * s.rows.taps; ++ty) {
        const int64_t iy = s.rows.positions[static_cast<std::size_t>(ty)];
        if (iy < 0) continue;
        for (int64_t tx = ox * s.columns.taps; tx < (ox + 1) * s.columns.taps; ++tx) {
          const int64_t ix = s.columns.positions[static_cast<std::size_t>(tx)];
          if (ix < 0) continue;
          body(iy * in.w + ix, oy * out.w + ox,
               s.rows.weights[static_cast<std::size_t>(ty)] *
                   s.columns.weights[static_cast<std::size_t>(tx)]);
        }
      }
    }
  }
}

}  // namespace

void resample(const TrainingStepCall& call) {
  const int64_t c = call.x.value->c;
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    const float* const x = call.x.image(image);
    float* const y = call.y.image(image);
    std::fill_n(y, call.y.floats(), 0.0f);
    for_each_share(call.step, *call.x.value, *call.y.value, [&](int64_t i, int64_t o, float w) {
      call.training.scale_and_shift(x + i * c, w, 0.0f, y + o * c, c, true);
    });
  });
}

void resample_gradient(const TrainingStepCall& call) {
  const int64_t c = call.dx.value->c;
  parallel_for(call.images, call.threads, [&](int64_t image, int) {
    const float* const dy = call.dy.image(image);
    float* const dx = call.dx.image(image);
    if (!call.step.accumulate) std::fill_n(dx, call.dx.floats(), 0.0f);
    for_each_share(call.step, *call.dx.value, *call.dy.value, [&](int64_t i, int64_t o, float w) {
      call.training.scale_and_shift(dy + o * c, w, 0.0f, dx + i * c, c, true);
    });
  });
}

void dropout(const TrainingStepCall& call, uint64_t seed, uint64_t training_step) {
  const double share = static_cast<double>(call.step.share);
  const int64_t before = call.whole.first * call.x.value->floats();
  for_each_part(call, call.x.floats(), [&](int64_t first, int64_t count) {
    call.training.dropout({call.x.data + first, call.y.data + first, before + first, count, seed,
                           training_step, static_cast<uint32_t>(call.step.stream),
                           static_cast<uint32_t>(share * 4294967296.0),
                           static_cast<float>(1.0 / (1.0 - share)), call.step.accumulate});
  });
}

}  // namespace facegen::cpu
