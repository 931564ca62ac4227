#include "cuda/executable.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "cuda/generic/depthwise.h"
#include "cuda/generic/norms.h"
#include "cuda/generic/reductions.h"
#include "cuda/generic/resample.h"
#include "cuda/generic/small_ops.h"
#include "cuda/hopper/norm.h"

namespace facegen::cuda {
namespace {

std::unique_ptr<Gemm> make_gemm(Kernel kernel, const GemmSpec& spec) {
  switch (kernel) {
    case Kernel::kSoftmaxGemm: return make_softmax_gemm(spec);
    case Kernel::kHopperStem: return hopper::make_stem(spec);
    case Kernel::kHopperPoolWindows: return hopper::make_pool_windows(spec);
    case Kernel::kHopperPoolMaps: return hopper::make_pool_maps(spec);
    case Kernel::kHopperExpandPool: return hopper::make_expand_pool(spec);
    case Kernel::kHopperExpandSqueeze: return hopper::make_expand_squeeze(spec);
    case Kernel::kHopperRows: return hopper::make_rows(spec);
    case Kernel::kHopperExpand: return hopper::make_expand(spec);
    case Kernel::kHopperPixels: return hopper::make_pixels(spec);
    case Kernel::kHopperPatch: return hopper::make_patch(spec);
    case Kernel::kHopperScatter: return hopper::make_scatter(spec);
    case Kernel::kHopperGemm: return hopper::make_gemm(spec);
    case Kernel::kThin: return make_thin_gemm(spec);
    case Kernel::kFma: return make_fma_gemm(spec);
    case Kernel::kMma: return make_mma_gemm(spec);
    case Kernel::kNaive: return make_naive_gemm(spec);
    case Kernel::kIm2col: return make_im2col_gemm(spec);
    case Kernel::kWinograd: return make_winograd_gemm(spec);
    default: return nullptr;  // no GEMM
  }
}

// Floats of one image of every input and output, and of the arena.
ContextSizes sizes_of(const Program& program) {
  ContextSizes sizes;
  sizes.arena = program.arena_floats;
  for (int32_t b = 0; b < program.buffer_count; ++b) {
    const Buffer& buffer = program.buffers[b];
    if (buffer.kind == BufferKind::kArena) continue;
    auto& floats = buffer.kind == BufferKind::kInput ? sizes.inputs : sizes.outputs;
    const auto index = static_cast<std::size_t>(buffer.index);
    if (floats.size() <= index) floats.resize(index + 1, 0);
    floats[index] = buffer.floats;
  }
  return sizes;
}

}  // namespace

Executable::Executable(const Program& program, const Options& options)
    : device_(find_device(options.device)),
      target_{device_.major, device_.minor, options.precision, options.kernels},
      steps_(program.steps, program.steps + program.step_count),
      constant_steps_(static_cast<std::size_t>(program.constant_steps)),
      buffers_(program.buffers, program.buffers + program.buffer_count),
      sizes_(sizes_of(program)) {
  const DeviceScope scope(device_.index);
  int64_t most_pixels = 1;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Step& step = steps_[i];
    const Layout in = step.op == Op::kFill ? Layout{} : layout(step.in);
    kernels_.push_back(find_kernel({step, in, layout(step.out), target_}));
    if (kernels_.back() == Kernel::kNone) {
      throw std::invalid_argument("program: this GPU has no kernel for step " + std::to_string(i));
    }
    names_.push_back(kernel_name(kernels_.back(), step, target_));
    const int32_t channels = map_of(step).c;
    step.bias = upload_constant(step.bias, channels);
    if (step.op == Op::kInstanceNorm || step.op == Op::kLayerNorm) {
      step.weight = upload_constant(step.weight, channels);
    }
    if (step.op == Op::kDepthwise) {
      const Window& window = step.window;
      const int64_t taps = int64_t{window.kernel_h} * window.kernel_w;
      step.weight = upload_constant(step.weight, taps * channels);
    }
    if (step.op == Op::kResample) {
      step.rows = upload_taps(step.rows, step.out.h);
      step.columns = upload_taps(step.columns, step.out.w);
    }
    // Kernels expect both or neither.
    Epilogue& epilogue = step.epilogue;
    epilogue.slopes = upload_constant(epilogue.slopes, channels);
    const std::vector<float> ones(static_cast<std::size_t>(channels), 1.0f);
    const std::vector<float> zeros(static_cast<std::size_t>(channels), 0.0f);
    if (epilogue.scale || epilogue.shift) {
      epilogue.scale = upload_constant(epilogue.scale ? epilogue.scale : ones.data(), channels);
      epilogue.shift = upload_constant(epilogue.shift ? epilogue.shift : zeros.data(), channels);
    }
    for (const View& view : {step.in, step.out, map_of(step)}) {
      most_pixels = std::max(most_pixels, int64_t{view.h} * view.w);
    }
    Step finish;
    if (step.finish != nullptr) {
      finish = *step.finish;
      finish.bias = upload_constant(finish.bias, finish.out.c);
      step.finish = &finish;
    }
    gemms_.push_back(make_gemm(kernels_.back(), {{step, in, layout(step.out), target_},
                                                 device_.multiprocessors}));
    if (gemms_.back()) sizes_.scratch = std::max(sizes_.scratch, gemms_.back()->scratch_floats());
    if (step.op == Op::kGemm) step.weight = nullptr;  // packed; may not outlive us
    step.phases = nullptr;
    step.finish = nullptr;
  }
  max_images_ = plan_chunk(sizes_, most_pixels, options.max_images);
  contexts_ = std::make_unique<ContextPool>(sizes_, max_images_, options.memory_limit,
                                            options.poison);
}

Executable::~Executable() {
  // Memory is freed on the device that it belongs to.
  int former = 0;
  cudaGetDevice(&former);
  cudaSetDevice(device_.index);
  contexts_.reset();
  gemms_.clear();
  constants_.clear();
  positions_.clear();
  restore_device(former);
}

const float* Executable::upload_constant(const float* values, int64_t count) {
  if (values == nullptr) return nullptr;
  // Kernels read vectors of 8.
  std::vector<float> padded(values, values + count);
  padded.resize(static_cast<std::size_t>((count + 7) / 8 * 8), 0.0f);
  constants_.push_back(upload(padded.data(), static_cast<int64_t>(padded.size())));
  return constants_.back().get();
}

AxisTaps Executable::upload_taps(const AxisTaps& axis, int64_t outputs) {
  const int64_t count = axis.taps * outputs;
  positions_.push_back(upload(axis.positions, count));
  return {axis.taps, positions_.back().get(), upload_constant(axis.weights, count)};
}

Layout Executable::layout(const View& view) const {
  return layout_of(buffers_[static_cast<std::size_t>(view.buffer)]);
}

void Executable::enqueue_step(const Context& context, const Places& places, std::size_t i,
                              int64_t images, cudaStream_t stream) const {
  const auto locate = [&](const View& view) -> Images {
    if (view.buffer < 0) return {};
    const auto b = static_cast<std::size_t>(view.buffer);
    const Buffer& buffer = buffers_[b];
    const auto index = static_cast<std::size_t>(buffer.index);
    char* base = nullptr;
    switch (buffer.kind) {
      case BufferKind::kInput: base = reinterpret_cast<char*>(places.in[index]); break;
      case BufferKind::kOutput: base = reinterpret_cast<char*>(places.out[index]); break;
      case BufferKind::kArena:
        base = context.arena.get() + 4 * buffer.arena_offset * context.capacity;
        break;
    }
    const auto [format, image_stride] = layout_of(buffer);
    return {base + view.offset * element_bytes(format), image_stride,
            image_stride * context.capacity, format};
  };
  const Step& step = steps_[i];
  Operands operands = {locate(step.in), locate(step.out), locate(step.epilogue.other),
                       locate(step.copy), context.scratch.get()};
  if (step.slices && step.op == Op::kGemm) {
    operands.slices = gemms_[i]->slices(images);
  } else if (step.slices) {
    operands.slices = gemms_[i - 1]->slices(images);
    operands.bias = steps_[i - 1].bias;
  }
  const StepCall call = {step, images, operands, stream};
  switch (step.op) {
    case Op::kGemm: gemms_[i]->run(images, operands, stream); break;
    case Op::kMaxPool: max_pool(call); break;
    case Op::kInstanceNorm:
      kernels_[i] == Kernel::kHopperNorm  ? hopper::instance_norm(call)
      : kernels_[i] == Kernel::kGroupNorm ? group_norm(call)
                                          : instance_norm(call);
      break;
    case Op::kLayerNorm: layer_norm(call); break;
    case Op::kLrn: response_norm(call); break;
    case Op::kShuffle: shuffle(call); break;
    case Op::kRearrange: rearrange(call); break;
    case Op::kSoftmax: softmax(call); break;
    case Op::kResample: resample(call); break;
    case Op::kPointwise: pointwise(call); break;
    case Op::kFill: pointwise(call); break;  // its bias is all that there is
    case Op::kArgMax: arg_max(call); break;
    case Op::kGlobalAvgPool: global_avg_pool(call); break;
    case Op::kDepthwise: depthwise(call); break;
  }
}

void Executable::enqueue_steps(const Context& context, const Places& places, int64_t images,
                               cudaStream_t stream) const {
  for (std::size_t i = constant_steps_; i < steps_.size(); ++i) {
    enqueue_step(context, places, i, images, stream);
  }
}

Executable::Places Executable::places_of(const Slot& slot) {
  Places places;
  for (const auto& array : slot.in) places.in.push_back(array.get());
  for (const auto& array : slot.out) places.out.push_back(array.get());
  return places;
}

std::unique_ptr<Context> Executable::take_any_context(int64_t images) const {
  auto context = contexts_->take(images);
  if (!context->has_constants) {
    cudaStream_t compute = context->compute.get();
    for (std::size_t i = 0; i < constant_steps_; ++i) {
      enqueue_step(*context, places_of(context->slots[0]), i, context->capacity, compute);
    }
    FACEGEN_CUDA_CHECK(cudaEventRecord(context->left.get(), compute));
    context->has_constants = true;
  }
  return context;
}

std::unique_ptr<Context> Executable::take_context(int64_t images) const {
  auto context = take_any_context(images);
  for (const Stream* stream : {&context->in, &context->compute, &context->out}) {
    wait_for_last_user(*context, stream->get());
  }
  return context;
}

std::unique_ptr<Context> Executable::take_context(int64_t images, cudaStream_t stream) const {
  auto context = take_any_context(images);
  if (!(context->left_on_default && is_default(stream))) wait_for_last_user(*context, stream);
  return context;
}

void Executable::wait_for_last_user(Context& context, cudaStream_t stream) {
  if (context.left_on_default) {
    FACEGEN_CUDA_CHECK(cudaEventRecord(context.left.get(), cudaStreamLegacy));
    context.left_on_default = false;
  }
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream, context.left.get(), 0));
}

void Executable::give_back(std::unique_ptr<Context> context, cudaStream_t stream) const {
  context->left_on_default = is_default(stream);
  if (!context->left_on_default) {
    FACEGEN_CUDA_CHECK(cudaEventRecord(context->left.get(), stream));
  }
  contexts_->give_back(std::move(context));
}

bool Executable::is_default(cudaStream_t stream) {
  return stream == nullptr || stream == cudaStreamLegacy;
}

std::vector<float> Executable::time_resident(int64_t images, int repeats, bool graph) const {
  const DeviceScope scope(device_.index);
  auto context = take_context(std::min(images, max_images_));
  cudaStream_t stream = context->compute.get();
  const Places places = places_of(context->slots[0]);
  const auto enqueue = [&] {
    for (int64_t done = 0; done < images; done += context->capacity) {
      enqueue_steps(*context, places, std::min(context->capacity, images - done), stream);
    }
  };
  enqueue();
  FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream));
  GraphExec exec;
  if (graph) {
    cudaGraph_t recorded = nullptr;
    FACEGEN_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    enqueue();
    FACEGEN_CUDA_CHECK(cudaStreamEndCapture(stream, &recorded));
    const Graph owner(recorded);
    cudaGraphExec_t made = nullptr;
    FACEGEN_CUDA_CHECK(cudaGraphInstantiateWithFlags(&made, recorded, 0));
    exec = GraphExec(made);
  }
  const Event begin = make_event(true), end = make_event(true);
  std::vector<float> times;
  for (int i = 0; i < repeats; ++i) {
    FACEGEN_CUDA_CHECK(cudaEventRecord(begin.get(), stream));
    if (exec) {
      FACEGEN_CUDA_CHECK(cudaGraphLaunch(exec.get(), stream));
    } else {
      enqueue();
    }
    FACEGEN_CUDA_CHECK(cudaEventRecord(end.get(), stream));
    FACEGEN_CUDA_CHECK(cudaEventSynchronize(end.get()));
    float ms = 0.0f;
    FACEGEN_CUDA_CHECK(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    times.push_back(ms);
  }
  contexts_->give_back(std::move(context));
  return times;
}

std::vector<float> Executable::time_steps(int64_t images, int repeats) const {
  const DeviceScope scope(device_.index);
  auto context = take_context(std::min(images, max_images_));
  cudaStream_t stream = context->compute.get();
  const int64_t count = std::min(images, context->capacity);
  const Places places = places_of(context->slots[0]);
  enqueue_steps(*context, places, count, stream);
  const Event begin = make_event(true), end = make_event(true);
  std::vector<float> times;
  for (std::size_t i = constant_steps_; i < steps_.size(); ++i) {
    FACEGEN_CUDA_CHECK(cudaEventRecord(begin.get(), stream));
    for (int r = 0; r < repeats; ++r) {
      enqueue_step(*context, places, i, count, stream);
    }
    FACEGEN_CUDA_CHECK(cudaEventRecord(end.get(), stream));
    FACEGEN_CUDA_CHECK(cudaEventSynchronize(end.get()));
    float ms = 0.0f;
    FACEGEN_CUDA_CHECK(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    times.push_back(ms / static_cast<float>(repeats));
  }
  contexts_->give_back(std::move(context));
  return times;
}

std::vector<std::string> Executable::step_kernels() const {
  return {names_.begin() + static_cast<std::ptrdiff_t>(constant_steps_), names_.end()};
}

}  // namespace facegen::cuda
