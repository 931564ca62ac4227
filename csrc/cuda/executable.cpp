#include "cuda/executable.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include "cuda/hopper_gemm.h"
#include "cuda/pinned_pool.h"
#include "cuda/small_ops.h"
#include "threads.h"

namespace facegen::cuda {
namespace {

constexpr std::size_t kSlots = 3;  // one travels in, one is computed, one travels out
// Up to here, launching costs more than computing, and a graph of everything pays.
constexpr int64_t kGraphImages = 64;
constexpr std::size_t kMaxGraphs = 16;  // of a context
// A chunk's buffers fill this much: enough to fill the GPU, small against its memory.
constexpr int64_t kChunkBytes = int64_t{1} << 30;
constexpr int64_t kMaxChunk = 1024;
// Kernels number the rows of a chunk in 32 bits.
constexpr int64_t kMaxPixels = int64_t{1} << 30;
constexpr int64_t kAlignment = 16;  // elements: vectors of 8 and tensor maps need as much
constexpr int64_t kCopyBytes = int64_t{1} << 20;  // of one task of a copy on the host

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

void copy_on_host(float* to, const float* from, int64_t floats, int threads) {
  const int64_t bytes = floats * int64_t{sizeof(float)};
  const auto copy = [&](int64_t task, int) {
    const int64_t first = task * kCopyBytes;
    std::memcpy(reinterpret_cast<char*>(to) + first, reinterpret_cast<const char*>(from) + first,
                static_cast<std::size_t>(std::min(kCopyBytes, bytes - first)));
  };
  parallel_for(divide_up(bytes, kCopyBytes), threads, copy);
}

// Formats of all buffers. What only GEMMs read is stored as they multiply it.
std::vector<Layout> choose_layouts(const Program& program, Precision precision, bool tensor_cores) {
  std::vector<Layout> layouts;
  for (int b = 0; b < program.buffer_count; ++b) {
    const Buffer& buffer = program.buffers[b];
    Layout layout = {Format::kFloat32, buffer.floats};
    if (buffer.kind == BufferKind::kArena) {
      layout.image_stride = divide_up(buffer.floats, kAlignment) * kAlignment;
      bool only_gemms = true;
      for (int i = 0; i < program.step_count; ++i) {
        const Step& step = program.steps[i];
        if (step.in.buffer == b && step.op != Op::kGemm) only_gemms = false;
        if (step.op != Op::kSoftmax && step.epilogue.add.buffer == b) only_gemms = false;
      }
      if (precision == Precision::kFloat16) layout.format = Format::kHalf;
      if (precision == Precision::kFloat32 && tensor_cores && only_gemms) {
        layout.format = Format::kSplit;
      }
    }
    layouts.push_back(layout);
  }
  return layouts;
}

// Inputs arrive as float32. Those that the Hopper kernel could multiply are first copied into a
// buffer of the arena, which gets the format of its operands.
void stage_inputs(std::vector<Step>& steps, std::vector<Buffer>& buffers, int64_t arena_floats) {
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    const Buffer& from = buffers[static_cast<std::size_t>(step.in.buffer)];
    if (step.op != Op::kGemm || from.kind != BufferKind::kInput || !hopper::suits(step)) continue;
    View staged = step.in;
    staged.buffer = static_cast<int32_t>(buffers.size());
    staged.offset = 0;
    staged.pixel_stride = divide_up(staged.c, 8) * 8;  // the copy engine's 16 bytes
    const int64_t floats = staged.h * staged.w * staged.pixel_stride;
    arena_floats = divide_up(arena_floats, 16) * 16;
    buffers.push_back({BufferKind::kArena, 0, floats, arena_floats});
    arena_floats += divide_up(floats, 16) * 16;
    Step copy = {};
    copy.op = Op::kPointwise;
    copy.in = step.in;
    copy.out = staged;
    steps[i].in = staged;
    steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(i++), copy);
  }
}

std::unique_ptr<Gemm> choose_gemm(const GemmSpec& spec, const std::string& kernels) {
  if (kernels == "auto") {
    if (auto scatter = make_hopper_scatter(spec)) return scatter;
    if (auto hopper = make_hopper_gemm(spec)) return hopper;
    if (auto thin = make_thin_gemm(spec)) return thin;
  }
  if (kernels == "fma" || spec.precision == Precision::kStrict) return make_fma_gemm(spec);
  return make_mma_gemm(spec);
}

}  // namespace

ChunkQueue::Chunk ChunkQueue::take(int64_t limit) {
  const int64_t most = std::min(limit, chunk_);
  int64_t first = next_;
  int64_t count;
  do {
    count = std::min(most, images_ - first);
    if (count <= 0) return {images_, 0};
  } while (!next_.compare_exchange_weak(first, first + count));
  return {first, count};
}

struct Executable::Slot {
  std::vector<DeviceArray<float>> in, out;
  std::vector<PinnedArray<float>> host_in, host_out;  // empty until a batch needs staging
  Event arrived, computed, left;
};

// Everything that one run at a time needs, for up to `capacity` images a chunk.
struct Executable::Context {
  int64_t capacity = 0;
  DeviceArray<char> arena;
  std::vector<Slot> slots;
  Stream in, compute, out;
  std::map<int64_t, GraphExec> graphs;  // of run_small, by images; null: seen once

  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() {
    // Where a run has failed, copies may still be under way.
    for (const Stream* stream : {&in, &compute, &out}) {
      if (*stream) cudaStreamSynchronize(stream->get());
    }
  }
};

Executable::Executable(const Program& program, const Options& options)
    : device_(find_device(options.device)),
      steps_(program.steps, program.steps + program.step_count),
      buffers_(program.buffers, program.buffers + program.buffer_count),
      arena_floats_(program.arena_floats),
      memory_limit_(options.memory_limit),
      poison_(options.poison) {
  const DeviceScope scope(device_.index);
  const bool tensor_cores = options.kernels != "fma";
  const bool split_or_half =
      options.precision == Precision::kFloat32 || options.precision == Precision::kFloat16;
  if (options.kernels == "auto" && split_or_half && device_.major == 9) {
    stage_inputs(steps_, buffers_, arena_floats_);
  }
  const Program staged = {steps_.data(), static_cast<int32_t>(steps_.size()), buffers_.data(),
                          static_cast<int32_t>(buffers_.size()), arena_floats_};
  layouts_ = choose_layouts(staged, options.precision, tensor_cores);
  int64_t most_pixels = 1;
  arena_floats_ = 0;
  for (std::size_t b = 0; b < buffers_.size(); ++b) {
    const Buffer& buffer = buffers_[b];
    if (buffer.kind == BufferKind::kArena) {
      arena_floats_ = std::max(arena_floats_, buffer.arena_offset + layouts_[b].image_stride);
      continue;
    }
    auto& sizes = buffer.kind == BufferKind::kInput ? input_floats_ : output_floats_;
    const auto index = static_cast<std::size_t>(buffer.index);
    if (sizes.size() <= index) sizes.resize(index + 1, 0);
    sizes[index] = buffer.floats;
  }
  arena_floats_ = std::max(arena_floats_, program.arena_floats);
  for (Step& step : steps_) {
    step.bias = upload_constant(step.bias, step.out.c);
    if (step.op == Op::kInstanceNorm) step.weight = upload_constant(step.weight, step.out.c);
    step.epilogue.scale = upload_constant(step.epilogue.scale, step.out.c);
    step.epilogue.shift = upload_constant(step.epilogue.shift, step.out.c);
    most_pixels = std::max({most_pixels, int64_t{step.out.h} * step.out.w,
                            int64_t{step.in.h} * step.in.w});
    gemms_.push_back(step.op == Op::kGemm
                         ? choose_gemm({step, layout(step.in), layout(step.out), options.precision},
                                       options.kernels)
                         : nullptr);
    step.weight = step.op == Op::kGemm ? nullptr : step.weight;  // packed; may not outlive us
    step.phases = nullptr;
  }
  const int64_t fitting = std::clamp(kChunkBytes / image_bytes(), int64_t{1}, kMaxChunk);
  max_images_ = std::min(options.max_images > 0 ? options.max_images : fitting,
                         std::max<int64_t>(kMaxPixels / most_pixels, 1));
  affordable_images_ = max_images_;
}

Executable::~Executable() {
  // Memory is freed on the device that it belongs to.
  int former = 0;
  cudaGetDevice(&former);
  cudaSetDevice(device_.index);
  free_contexts_.clear();
  gemms_.clear();
  constants_.clear();
  restore_device(former);
}

const float* Executable::upload_constant(const float* values, int64_t count) {
  if (values == nullptr) return nullptr;
  constants_.push_back(upload(values, count));
  return constants_.back().get();
}

Layout Executable::layout(const View& view) const {
  return layouts_[static_cast<std::size_t>(view.buffer)];
}

int64_t Executable::image_bytes() const {
  int64_t floats = arena_floats_;
  for (const Buffer& buffer : buffers_) {
    if (buffer.kind != BufferKind::kArena) floats += static_cast<int64_t>(kSlots) * buffer.floats;
  }
  return std::max<int64_t>(4 * floats, 4);
}

std::unique_ptr<Executable::Context> Executable::make_context(int64_t capacity) const {
  if (memory_limit_ > 0) {
    const int64_t bytes = image_bytes() * capacity;
    if (bytes > memory_limit_) {
      throw Error(cudaErrorMemoryAllocation,
                  std::to_string(capacity) + " images need " + std::to_string(bytes) +
                      " bytes on cuda:" + std::to_string(device_.index) +
                      ", more than the limit of " + std::to_string(memory_limit_));
    }
  }
  auto context = std::make_unique<Context>();
  context->capacity = capacity;
  context->arena = allocate_device<char>(4 * arena_floats_ * capacity);
  context->in = make_stream();
  context->compute = make_stream();
  context->out = make_stream();
  for (std::size_t s = 0; s < kSlots; ++s) {
    Slot& slot = context->slots.emplace_back();
    for (const int64_t floats : input_floats_) {
      slot.in.push_back(allocate_device<float>(floats * capacity));
    }
    for (const int64_t floats : output_floats_) {
      slot.out.push_back(allocate_device<float>(floats * capacity));
    }
    slot.host_in.resize(input_floats_.size());
    slot.host_out.resize(output_floats_.size());
    slot.arrived = make_event();
    slot.computed = make_event();
    slot.left = make_event();
  }
  if (poison_) {
    // All bits set is NaN in every format.
    const auto fill = [](void* memory, int64_t bytes) {
      FACEGEN_CUDA_CHECK(cudaMemset(memory, 0xff, static_cast<std::size_t>(bytes)));
    };
    fill(context->arena.get(), context->arena.bytes());
    for (const Slot& slot : context->slots) {
      for (const auto& array : slot.in) fill(array.get(), array.bytes());
      for (const auto& array : slot.out) fill(array.get(), array.bytes());
    }
    FACEGEN_CUDA_CHECK(cudaDeviceSynchronize());
  }
  return context;
}

// A context for chunks of `images`, or of as many as there is memory for.
std::unique_ptr<Executable::Context> Executable::take_context(int64_t images) const {
  images = std::min<int64_t>(images, affordable_images_);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    // The smallest that is large enough.
    auto best = free_contexts_.end();
    for (auto it = free_contexts_.begin(); it != free_contexts_.end(); ++it) {
      const bool fits = (*it)->capacity >= images;
      if (fits && (best == free_contexts_.end() || (*it)->capacity < (*best)->capacity)) best = it;
    }
    if (best != free_contexts_.end()) {
      auto context = std::move(*best);
      free_contexts_.erase(best);
      return context;
    }
    free_contexts_.clear();  // too small ones: their memory serves the larger one
  }
  // Powers of two: a batch slightly larger than the one before needs no new memory.
  int64_t capacity = 1;
  while (capacity < images) capacity *= 2;
  for (capacity = std::min<int64_t>(capacity, affordable_images_);;
       capacity = divide_up(capacity, 2)) {
    try {
      return make_context(capacity);
    } catch (const Error& error) {
      if (error.code != cudaErrorMemoryAllocation || capacity == 1) throw;
    }
    affordable_images_ = divide_up(capacity, 2);
  }
}

void Executable::return_context(std::unique_ptr<Context> context) const {
  std::lock_guard<std::mutex> lock(mutex_);
  free_contexts_.push_back(std::move(context));
}

void Executable::enqueue_step(const Context& context, const Slot& slot, std::size_t i,
                              int64_t images, cudaStream_t stream) const {
  const auto locate = [&](const View& view) -> Images {
    if (view.buffer < 0) return {};
    const auto b = static_cast<std::size_t>(view.buffer);
    const Buffer& buffer = buffers_[b];
    const auto index = static_cast<std::size_t>(buffer.index);
    char* base = nullptr;
    switch (buffer.kind) {
      case BufferKind::kInput: base = reinterpret_cast<char*>(slot.in[index].get()); break;
      case BufferKind::kOutput: base = reinterpret_cast<char*>(slot.out[index].get()); break;
      case BufferKind::kArena:
        base = context.arena.get() + 4 * buffer.arena_offset * context.capacity;
        break;
    }
    const auto [format, image_stride] = layouts_[b];
    return {base + view.offset * element_bytes(format), image_stride,
            image_stride * context.capacity, format};
  };
  const Step& step = steps_[i];
  const Images in = locate(step.in), out = locate(step.out), add = locate(step.epilogue.add);
  const StepCall call = {step, images, in, out, add, stream};
  switch (step.op) {
    case Op::kGemm: gemms_[i]->run(images, in, out, add, stream); break;
    case Op::kMaxPool: max_pool(call); break;
    case Op::kInstanceNorm: instance_norm(call); break;
    case Op::kSoftmax: softmax(call); break;
    case Op::kUpsample: upsample_bilinear(call); break;
    case Op::kPointwise: pointwise(call); break;
  }
}

void Executable::enqueue_steps(const Context& context, const Slot& slot, int64_t images,
                               cudaStream_t stream) const {
  for (std::size_t i = 0; i < steps_.size(); ++i) enqueue_step(context, slot, i, images, stream);
}

void Executable::enqueue_copies_in(const Slot& slot, const std::vector<const float*>& from,
                                   int64_t images, cudaStream_t stream) const {
  for (std::size_t i = 0; i < input_floats_.size(); ++i) {
    FACEGEN_CUDA_CHECK(cudaMemcpyAsync(slot.in[i].get(), from[i],
                                       static_cast<std::size_t>(input_floats_[i] * images) * 4,
                                       cudaMemcpyHostToDevice, stream));
  }
}

void Executable::enqueue_copies_out(const Slot& slot, const std::vector<float*>& to,
                                    int64_t images, cudaStream_t stream) const {
  for (std::size_t i = 0; i < output_floats_.size(); ++i) {
    FACEGEN_CUDA_CHECK(cudaMemcpyAsync(to[i], slot.out[i].get(),
                                       static_cast<std::size_t>(output_floats_[i] * images) * 4,
                                       cudaMemcpyDeviceToHost, stream));
  }
}

// One chunk of a small batch: copies in and steps on slot 0 and one stream. The second time that a
// number of images is seen, they are recorded into a graph.
void Executable::enqueue_small(Context& context, int64_t images) const {
  const Slot& slot = context.slots[0];
  cudaStream_t stream = context.compute.get();
  std::vector<const float*> from;
  for (const auto& array : slot.host_in) from.push_back(array.get());
  const auto enqueue = [&] {
    enqueue_copies_in(slot, from, images, stream);
    enqueue_steps(context, slot, images, stream);
  };
  const bool seen = context.graphs.count(images) > 0;
  if (!seen) {
    if (context.graphs.size() >= kMaxGraphs) context.graphs.clear();
    context.graphs[images];
    enqueue();
  } else {
    GraphExec& exec = context.graphs[images];
    if (!exec) {
      cudaGraph_t recorded = nullptr;
      FACEGEN_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
      try {
        enqueue();
      } catch (...) {
        cudaStreamEndCapture(stream, &recorded);
        const Graph dropped(recorded);
        throw;
      }
      FACEGEN_CUDA_CHECK(cudaStreamEndCapture(stream, &recorded));
      const Graph graph(recorded);
      cudaGraphExec_t made = nullptr;
      FACEGEN_CUDA_CHECK(cudaGraphInstantiateWithFlags(&made, graph.get(), 0));
      exec = GraphExec(made);
    }
    FACEGEN_CUDA_CHECK(cudaGraphLaunch(exec.get(), stream));
  }
}

// The caller's arrays of one run, and the way to and from pinned memory.
class Executable::Staging {
 public:
  Staging(const Executable& executable, const float* const* inputs, float* const* outputs,
          int64_t capacity, int threads)
      : input_floats_(executable.input_floats_),
        output_floats_(executable.output_floats_),
        inputs_(inputs),
        outputs_(outputs),
        capacity_(capacity),
        threads_(threads) {
    for (std::size_t i = 0; i < input_floats_.size(); ++i) in_pinned_.push_back(is_pinned(inputs[i]));
    for (std::size_t i = 0; i < output_floats_.size(); ++i) {
      out_pinned_.push_back(is_pinned(outputs[i]));
    }
  }

  // Pinned memory that holds the inputs of a chunk: the caller's own, or copies in the slot.
  std::vector<const float*> bring_in(Slot& slot, ChunkQueue::Chunk chunk, bool always_copy) const {
    std::vector<const float*> places;
    for (std::size_t i = 0; i < input_floats_.size(); ++i) {
      const float* from = inputs_[i] + chunk.first * input_floats_[i];
      if (always_copy || !in_pinned_[i]) {
        float* to = staging(slot.host_in[i], input_floats_[i]);
        copy_on_host(to, from, chunk.count * input_floats_[i], threads_);
        from = to;
      }
      places.push_back(from);
    }
    return places;
  }

  // Pinned memory for the outputs of a chunk, likewise ...
  std::vector<float*> places_out(Slot& slot, ChunkQueue::Chunk chunk) const {
    std::vector<float*> places;
    for (std::size_t i = 0; i < output_floats_.size(); ++i) {
      places.push_back(out_pinned_[i] ? outputs_[i] + chunk.first * output_floats_[i]
                                      : staging(slot.host_out[i], output_floats_[i]));
    }
    return places;
  }

  // ... and on to the caller, once they are there.
  void bring_out(const Slot& slot, ChunkQueue::Chunk chunk) const {
    for (std::size_t i = 0; i < output_floats_.size(); ++i) {
      if (out_pinned_[i]) continue;
      copy_on_host(outputs_[i] + chunk.first * output_floats_[i], slot.host_out[i].get(),
                   chunk.count * output_floats_[i], threads_);
    }
  }

 private:
  float* staging(PinnedArray<float>& array, int64_t floats) const {
    if (array.get() == nullptr) array = allocate_pinned<float>(floats * capacity_);
    return array.get();
  }

  const std::vector<int64_t>&input_floats_, &output_floats_;
  const float* const* inputs_;
  float* const* outputs_;
  int64_t capacity_;
  int threads_;
  std::vector<bool> in_pinned_, out_pinned_;
};

void Executable::run(ChunkQueue& queue, const float* const* inputs, float* const* outputs,
                     int threads) const {
  if (queue.images() == 0) return;
  const DeviceScope scope(device_.index);
  auto context = take_context(std::min({queue.chunk(), queue.images(), max_images_}));
  const Staging staging(*this, inputs, outputs, context->capacity, threads);
  if (queue.images() <= kGraphImages) {
    run_small(*context, queue, staging);
  } else {
    run_pipelined(*context, queue, staging);
  }
  return_context(std::move(context));
}

// One chunk after another, each in as few launches as possible.
void Executable::run_small(Context& context, ChunkQueue& queue, const Staging& staging) const {
  Slot& slot = context.slots[0];
  cudaStream_t stream = context.compute.get();
  while (true) {
    const ChunkQueue::Chunk chunk = queue.take(context.capacity);
    if (chunk.count == 0) break;
    staging.bring_in(slot, chunk, true);  // a graph reads where it read when it was recorded
    enqueue_small(context, chunk.count);
    enqueue_copies_out(slot, staging.places_out(slot, chunk), chunk.count, stream);
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream));
    staging.bring_out(slot, chunk);
  }
}

// kSlots chunks under way at once.
void Executable::run_pipelined(Context& context, ChunkQueue& queue, const Staging& staging) const {
  struct UnderWay {
    Slot* slot;
    ChunkQueue::Chunk chunk;
  };
  std::deque<UnderWay> under_way;
  const auto finish_oldest = [&] {
    const auto [slot, chunk] = under_way.front();
    FACEGEN_CUDA_CHECK(cudaEventSynchronize(slot->left.get()));
    staging.bring_out(*slot, chunk);
    under_way.pop_front();
  };
  for (std::size_t number = 0;; ++number) {
    if (under_way.size() == kSlots) finish_oldest();
    const ChunkQueue::Chunk chunk = queue.take(context.capacity);
    if (chunk.count == 0) break;
    Slot& slot = context.slots[number % kSlots];
    const std::vector<const float*> from = staging.bring_in(slot, chunk, false);
    enqueue_copies_in(slot, from, chunk.count, context.in.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.arrived.get(), context.in.get()));
    FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(context.compute.get(), slot.arrived.get(), 0));
    enqueue_steps(context, slot, chunk.count, context.compute.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.computed.get(), context.compute.get()));
    FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(context.out.get(), slot.computed.get(), 0));
    enqueue_copies_out(slot, staging.places_out(slot, chunk), chunk.count, context.out.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.left.get(), context.out.get()));
    under_way.push_back({&slot, chunk});
  }
  while (!under_way.empty()) finish_oldest();
}

std::vector<float> Executable::time_resident(int64_t images, int repeats, bool graph) const {
  const DeviceScope scope(device_.index);
  auto context = take_context(std::min(images, max_images_));
  cudaStream_t stream = context->compute.get();
  const auto enqueue = [&] {
    for (int64_t done = 0; done < images; done += context->capacity) {
      enqueue_steps(*context, context->slots[0], std::min(context->capacity, images - done),
                    stream);
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
  return_context(std::move(context));
  return times;
}

std::vector<float> Executable::time_steps(int64_t images, int repeats) const {
  const DeviceScope scope(device_.index);
  auto context = take_context(std::min(images, max_images_));
  cudaStream_t stream = context->compute.get();
  const int64_t count = std::min(images, context->capacity);
  enqueue_steps(*context, context->slots[0], count, stream);
  const Event begin = make_event(true), end = make_event(true);
  std::vector<float> times;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    FACEGEN_CUDA_CHECK(cudaEventRecord(begin.get(), stream));
    for (int r = 0; r < repeats; ++r) {
      enqueue_step(*context, context->slots[0], i, count, stream);
    }
    FACEGEN_CUDA_CHECK(cudaEventRecord(end.get(), stream));
    FACEGEN_CUDA_CHECK(cudaEventSynchronize(end.get()));
    float ms = 0.0f;
    FACEGEN_CUDA_CHECK(cudaEventElapsedTime(&ms, begin.get(), end.get()));
    times.push_back(ms / static_cast<float>(repeats));
  }
  return_context(std::move(context));
  return times;
}

std::vector<std::string> Executable::step_kernels() const {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    switch (steps_[i].op) {
      case Op::kGemm: names.emplace_back(gemms_[i]->name()); break;
      case Op::kMaxPool: names.emplace_back("max pool"); break;
      case Op::kInstanceNorm: names.emplace_back("instance norm"); break;
      case Op::kSoftmax: names.emplace_back("softmax"); break;
      case Op::kUpsample: names.emplace_back("upsample"); break;
      case Op::kPointwise: names.emplace_back("pointwise"); break;
    }
  }
  return names;
}

}  // namespace facegen::cuda
