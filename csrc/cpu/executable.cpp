#include "cpu/executable.h"

#include <algorithm>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "check_program.h"
#include "cpu/depthwise.h"
#include "cpu/norms.h"
#include "cpu/reductions.h"
#include "cpu/resample.h"
#include "cpu/small_ops.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Maps of several images that one step reads and writes stay in the L3 cache up to here.
constexpr int64_t kCacheFloats = (int64_t{8} << 20) / 4;

// Floats between the arenas of two images: the same pixels of all images would else share a few
// sets of the caches.
constexpr int64_t kApart = 1040;

int64_t floats(const View& view) { return int64_t{1} * view.h * view.w * view.c; }

}  // namespace

const char* find_kernel(const Step& step, const Kernels& kernels) {
  if (step.op == Op::kGemm) {
    const GemmImplementation* gemm = find_gemm(step, kernels_of(step, kernels));
    return gemm != nullptr ? gemm->name : "";
  }
  if (step.copy.buffer >= 0 || step.slices) return "";
  switch (step.op) {
    case Op::kGemm: break;
    case Op::kMaxPool: return "max pool";
    case Op::kInstanceNorm: return "instance norm";
    case Op::kSoftmax: return "softmax";
    case Op::kResample: return "resample";
    case Op::kPointwise: return "pointwise";
    case Op::kFill: break;
    case Op::kArgMax: return "argmax";
    case Op::kGlobalAvgPool: return "global average pool";
    case Op::kLayerNorm: return "layer norm";
    case Op::kLrn: return "response norm";
    case Op::kShuffle: return "shuffle";
    case Op::kRearrange: return "rearrange";
    case Op::kDepthwise: return "depthwise";
  }
  return "";
}

Executable::Executable(const Program& program, const Kernels& kernels, int threads)
    : kernels_(kernels),
      steps_(program.steps, program.steps + program.step_count),
      buffers_(program.buffers, program.buffers + program.buffer_count),
      arena_stride_(program.arena_floats + kApart),
      map_floats_(program.arena_floats) {
  for (const Buffer& buffer : buffers_) {
    if (buffer.format == Format::kFloat32) continue;
    throw std::invalid_argument("program: fitted to another device, whose formats the CPU has not");
  }
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Step& step = steps_[i];
    if (*find_kernel(step, kernels) == 0) {
      throw std::invalid_argument("program: the CPU has no kernel for step " + std::to_string(i));
    }
    const bool gemm = step.op == Op::kGemm;
    const int64_t weights =
        gemm ? int64_t{map_of(step).c} * step.kernel_h * step.kernel_w * step.in.c : 0;
    weight_floats_ += weights;
    const int64_t maps = floats(step.in) + floats(map_of(step));
    at_once_.push_back(weights < maps ? kCacheFloats / maps : kAllImages);
    if (step.finish != nullptr) {
      map_floats_ = std::max(map_floats_, program.arena_floats + floats(map_of(step)));
    }
  }
  gemms_.resize(steps_.size());
  parallel_for(static_cast<int64_t>(steps_.size()), threads, [&](int64_t task, int) {
    const auto i = static_cast<std::size_t>(task);
    if (steps_[i].op != Op::kGemm) return;
    const Kernels& own = kernels_of(steps_[i], kernels);
    gemms_[i] = find_gemm(steps_[i], own)->make(steps_[i], own);
    gemms_[i]->pack(weights_of(steps_[i]), 1);
  });
  for (Step& step : steps_) step.finish = nullptr;  // may not outlive us
}

void Executable::run(int64_t images, const float* const* inputs, float* const* outputs,
                     int threads) const {
  // Where one image's maps take more memory than all weights, several images at once would push
  // each other out of the caches and gain nothing: then as many as there are threads.
  const int64_t at_once = map_floats_ > weight_floats_ ? std::max(threads, 1) : images;
  for (int64_t first = 0; first < images; first += at_once) {
    run_images(first, std::min(at_once, images - first), inputs, outputs, threads);
  }
}

// Steps on large maps follow one another for a few images at a time, so that each finds in the
// cache what the one before it wrote; the others take all images, for the sake of their weights.
void Executable::run_images(int64_t first, int64_t images, const float* const* inputs,
                            float* const* outputs, int threads) const {
  if (images > kMostFloats / arena_stride_) throw std::bad_alloc();
  std::unique_ptr<Arena> arena = arenas_.take(arena_stride_ * images);
  const Batch batch = {arena->memory.get(), first, inputs, outputs};
  const auto at_once = [&](std::size_t step) {
    return std::min(images, std::max<int64_t>(at_once_[step], threads));
  };
  for (std::size_t begin = 0, end; begin < steps_.size(); begin = end) {
    int64_t part = at_once(begin);
    for (end = begin + 1; end < steps_.size(); ++end) {
      if ((at_once(end) < images) != (part < images)) break;
      part = std::min(part, at_once(end));
    }
    for (int64_t image = 0; image < images; image += part) {
      for (std::size_t step = begin; step < end; ++step) {
        run_step(step, batch, image, std::min(part, images - image), threads);
      }
    }
  }
  arenas_.give_back(std::move(arena));
}

void Executable::run_step(std::size_t i, const Batch& batch, int64_t first, int64_t images,
                          int threads) const {
  const auto locate = [&](const View& view) -> Images {
    if (view.buffer < 0) return {};
    const Buffer& buffer = buffers_[static_cast<std::size_t>(view.buffer)];
    float* base = nullptr;
    switch (buffer.kind) {
      // Inputs are only ever read: no step's output view lies in one.
      case BufferKind::kInput:
        base = const_cast<float*>(batch.inputs[buffer.index]) + batch.first * buffer.floats;
        break;
      case BufferKind::kOutput:
        base = batch.outputs[buffer.index] + batch.first * buffer.floats;
        break;
      case BufferKind::kArena:
        return {batch.arena + first * arena_stride_ + buffer.arena_offset + view.offset,
                arena_stride_};
    }
    return {base + first * buffer.floats + view.offset, buffer.floats};
  };
  const Step& step = steps_[i];
  const StepCall call = {step,           kernels_, images, locate(step.in), locate(step.out),
                         locate(step.epilogue.other), threads};
  switch (step.op) {
    case Op::kGemm: gemms_[i]->run(images, call.in, call.out, call.other, threads); break;
    case Op::kMaxPool: max_pool(call); break;
    case Op::kInstanceNorm: instance_norm(call); break;
    case Op::kSoftmax: softmax(call); break;
    case Op::kResample: resample(call); break;
    case Op::kPointwise: pointwise(call); break;
    case Op::kFill: break;  // refused
    case Op::kArgMax: arg_max(call); break;
    case Op::kGlobalAvgPool: global_avg_pool(call); break;
    case Op::kLayerNorm: layer_norm(call); break;
    case Op::kLrn: response_norm(call); break;
    case Op::kShuffle: shuffle(call); break;
    case Op::kRearrange: rearrange(call); break;
    case Op::kDepthwise: depthwise(call); break;
  }
}

}  // namespace facegen::cpu
