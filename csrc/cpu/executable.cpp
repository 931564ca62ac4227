#include "cpu/executable.h"

#include <algorithm>
#include <new>
#include <utility>

#include "check_program.h"
#include "cpu/reductions.h"
#include "cpu/small_ops.h"

namespace facegen::cpu {
namespace {

// Maps of several images that one step reads and writes stay in the L3 cache up to here.
constexpr int64_t kCacheFloats = (int64_t{8} << 20) / 4;

// Floats between the arenas of two images: the same pixels of all images would else share a few
// sets of the caches.
constexpr int64_t kApart = 1040;

int64_t floats(const View& view) { return int64_t{1} * view.h * view.w * view.c; }

}  // namespace

Executable::Executable(const Program& program, const Kernels& kernels)
    : kernels_(kernels),
      steps_(program.steps, program.steps + program.step_count),
      buffers_(program.buffers, program.buffers + program.buffer_count),
      arena_floats_(program.arena_floats),
      arena_stride_(program.arena_floats + kApart) {
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    const bool gemm = step.op == Op::kGemm;
    const int64_t weights =
        gemm ? int64_t{step.out.c} * step.kernel_h * step.kernel_w * step.in.c : 0;
    weight_floats_ += weights;
    const int64_t maps = floats(step.in) + floats(step.out);
    at_once_.push_back(weights < maps ? kCacheFloats / maps : kAllImages);
    const bool thin = gemm && ThinGemm::suits(step, kernels);
    const bool winograd = gemm && !thin && Winograd::tile_outputs(step, kernels) > 0;
    const bool pooled = gemm && !thin && !winograd && merges_with_next(i) &&
                        PooledGemm::suits(step, steps_[i + 1], kernels);
    const bool direct =
        gemm && !thin && !winograd && !pooled && DirectGemm::suits(step, kernels);
    const bool gathered = gemm && !thin && !winograd && !pooled && !direct;
    pooled_gemms_.push_back(
        pooled ? std::make_unique<PooledGemm>(step, steps_[i + 1], kernels) : nullptr);
    gemms_.push_back(gathered ? std::make_unique<Gemm>(step, kernels) : nullptr);
    direct_gemms_.push_back(direct ? std::make_unique<DirectGemm>(step, kernels) : nullptr);
    thin_gemms_.push_back(thin ? std::make_unique<ThinGemm>(step, kernels) : nullptr);
    winograds_.push_back(winograd ? std::make_unique<Winograd>(step, kernels) : nullptr);
  }
}

// Whether steps i and i + 1 may run as one that leaves out what is between them: nothing else reads it
// or is in its buffer, and what the second writes does not take the place of what the first reads.
bool Executable::merges_with_next(std::size_t i) const {
  if (i + 1 == steps_.size()) return false;
  const auto buffer = [this](const View& view) -> const Buffer& {
    return buffers_[static_cast<std::size_t>(view.buffer)];
  };
  const int32_t between = steps_[i].out.buffer;
  if (buffer(steps_[i].out).kind != BufferKind::kArena) return false;
  for (std::size_t other = 0; other < steps_.size(); ++other) {
    const Step& step = steps_[other];
    if (other != i && step.out.buffer == between) return false;
    if (other != i + 1 && step.in.buffer == between) return false;
    if (step.epilogue.add.buffer == between) return false;
  }
  const Buffer &in = buffer(steps_[i].in), &out = buffer(steps_[i + 1].out);
  return in.kind != out.kind || in.arena_offset + in.floats <= out.arena_offset ||
         out.arena_offset + out.floats <= in.arena_offset;
}

void Executable::run(int64_t images, const float* const* inputs, float* const* outputs,
                     int threads) const {
  // Where one image's maps take more memory than all weights, several images at once would push
  // each other out of the caches and gain nothing: then as many as there are threads.
  const int64_t at_once = arena_floats_ > weight_floats_ ? std::max(threads, 1) : images;
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
                         locate(step.epilogue.add), threads};
  switch (step.op) {
    case Op::kGemm:
      if (pooled_gemms_[i] != nullptr) {
        pooled_gemms_[i]->run(images, call.in, locate(steps_[i + 1].out), threads);
      } else if (thin_gemms_[i] != nullptr) {
        thin_gemms_[i]->run(images, call.in, call.out, threads);
      } else if (winograds_[i] != nullptr) {
        winograds_[i]->run(images, call.in, call.out, call.add, threads);
      } else if (direct_gemms_[i] != nullptr) {
        direct_gemms_[i]->run(images, call.in, call.out, call.add, threads);
      } else {
        gemms_[i]->run(images, call.in, call.out, call.add, threads);
      }
      break;
    case Op::kMaxPool:
      if (i == 0 || pooled_gemms_[i - 1] == nullptr) max_pool(call);
      break;
    case Op::kInstanceNorm: instance_norm(call); break;
    case Op::kSoftmax: softmax(call); break;
    case Op::kUpsample: upsample_bilinear(call); break;
    case Op::kPointwise: pointwise(call); break;
    case Op::kArgMax: arg_max(call); break;
    case Op::kGlobalAvgPool: global_avg_pool(call); break;
  }
}

}  // namespace facegen::cpu
