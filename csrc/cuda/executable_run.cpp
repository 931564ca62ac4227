// Batches through an executable. From the host: the small ones as graphs, the others in a pipeline of
// chunks. On the device: one chunk after another, on the caller's stream.
#include <algorithm>
#include <deque>
#include <stdexcept>
#include <utility>

#include "cuda/executable.h"
#include "cuda/generic/convert.h"
#include "cuda/runtime/host_staging.h"

namespace facegen::cuda {
namespace {

// Up to here, launching costs more than computing, and a graph of everything pays.
constexpr int64_t kGraphImages = 64;
constexpr std::size_t kMaxGraphs = 64;  // of a context

bool needs_conversion(const CallerArray& array) { return array.element != Element::kFloat32; }

// Whether the steps can read or write the array where it is.
bool lies_as_steps_want(const CallerArray& array) {
  constexpr uintptr_t kAligned = 32;  // eight floats are read at once
  const int64_t row = int64_t{array.w} * array.c;
  return !needs_conversion(array) && reinterpret_cast<uintptr_t>(array.data) % kAligned == 0 &&
         array.strides[0] == array.image_values() && (array.h == 1 || array.strides[1] == row) &&
         (array.w == 1 || array.strides[2] == array.c) && (array.c == 1 || array.strides[3] == 1);
}

CallerArray at(CallerArray array, void* data) {
  array.data = data;
  return array;
}

// Makes room in a slot for arrays that come or go as other elements than float32.
void make_room(const std::vector<CallerArray>& arrays, int64_t capacity,
               std::vector<DeviceMemory<uint8_t>>& memory) {
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const int64_t bytes = capacity * arrays[i].image_bytes();
    if (needs_conversion(arrays[i]) && memory[i].count() < bytes) {
      memory[i] = allocate_device<uint8_t>(bytes);
    }
  }
}

// Whether the memory of two arrays of so many images overlaps, as far as their ends tell.
bool overlap(const CallerArray& a, const CallerArray& b, int64_t images) {
  const auto ends = [&](const CallerArray& array) {
    const int64_t lengths[4] = {images, array.h, array.w, array.c};
    int64_t first = 0, last = 0;
    for (int d = 0; d < 4; ++d) {
      const int64_t reach = (lengths[d] - 1) * array.strides[d];
      (reach < 0 ? first : last) += reach;
    }
    const char* data = static_cast<const char*>(array.data);
    const int64_t size = bytes_of(array.element);
    return std::make_pair(data + first * size, data + (last + 1) * size);
  };
  const auto [a_first, a_end] = ends(a);
  const auto [b_first, b_end] = ends(b);
  return a_first < b_end && b_first < a_end;
}

}  // namespace

void Executable::run(ChunkQueue& queue, const std::vector<CallerArray>& inputs,
                     const std::vector<CallerArray>& outputs, int threads) const {
  if (queue.images() == 0) return;
  const DeviceScope scope(device_.index);
  auto context = take_context(std::min(queue.largest(), max_images_));
  for (Slot& slot : context->slots) {
    make_room(inputs, context->capacity, slot.bytes_in);
    make_room(outputs, context->capacity, slot.bytes_out);
  }
  const HostStaging staging(inputs, outputs, context->capacity, threads);
  if (queue.images() <= kGraphImages) {
    run_small(*context, queue, staging);
  } else {
    run_pipelined(*context, queue, staging);
  }
  contexts_->give_back(std::move(context));
}

void Executable::enqueue(const std::vector<CallerArray>& inputs,
                         const std::vector<CallerArray>& outputs, int64_t images,
                         cudaStream_t stream) const {
  if (images == 0) return;
  for (const CallerArray& input : inputs) {
    for (const CallerArray& output : outputs) {
      if (overlap(input, output, images)) {
        throw std::invalid_argument("an input and an output overlap in memory; pass another out=");
      }
    }
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (overlap(outputs[i], outputs[j], images)) {
        throw std::invalid_argument("two outputs overlap in memory");
      }
    }
  }
  const DeviceScope scope(device_.index);
  cudaStreamCaptureStatus capturing = cudaStreamCaptureStatusNone;
  FACEGEN_CUDA_CHECK(cudaStreamIsCapturing(stream, &capturing));
  if (capturing != cudaStreamCaptureStatusNone) {
    throw Error(cudaErrorStreamCaptureUnsupported,
                "the stream is being captured into a graph; a call is one launch of a graph already");
  }
  auto context = take_context(std::min(images, max_images_), stream);
  std::vector<int64_t> key = {images};
  for (const auto* arrays : {&inputs, &outputs}) {
    for (const CallerArray& array : *arrays) {
      key.push_back(reinterpret_cast<int64_t>(array.data));
      key.push_back(static_cast<int64_t>(array.element));
      key.insert(key.end(), array.strides, array.strides + 4);
    }
  }
  enqueue_as_graph(*context, key, stream, [&](cudaStream_t to) {
    enqueue_arrays(*context, inputs, outputs, images, to);
  });
  give_back(std::move(context), stream);
}

void Executable::enqueue_arrays(Context& context, const std::vector<CallerArray>& inputs,
                                const std::vector<CallerArray>& outputs, int64_t images,
                                cudaStream_t stream) const {
  for (int64_t first = 0; first < images; first += context.capacity) {
    const int64_t count = std::min(context.capacity, images - first);
    Places places = places_of(context.slots[0]);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const CallerArray from = at(inputs[i], inputs[i].image(first));
      if (lies_as_steps_want(from)) {
        places.in[i] = static_cast<float*>(from.data);
      } else {
        read_array(from, count, places.in[i], stream);
      }
    }
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const CallerArray to = at(outputs[i], outputs[i].image(first));
      if (lies_as_steps_want(to)) places.out[i] = static_cast<float*>(to.data);
    }
    enqueue_steps(context, places, count, stream);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const CallerArray to = at(outputs[i], outputs[i].image(first));
      if (!lies_as_steps_want(to)) write_array(to, count, places.out[i], stream);
    }
  }
}

template <class Work>
void Executable::enqueue_as_graph(Context& context, const std::vector<int64_t>& key,
                                  cudaStream_t stream, const Work& work) const {
  const auto found = context.graphs.find(key);
  if (found == context.graphs.end()) {
    if (context.graphs.size() >= kMaxGraphs) context.graphs.clear();
    context.graphs[key];
    work(stream);
    return;
  }
  GraphExec& exec = found->second;
  if (!exec) {
    cudaStream_t recording = context.compute.get();
    cudaGraph_t recorded = nullptr;
    FACEGEN_CUDA_CHECK(cudaStreamBeginCapture(recording, cudaStreamCaptureModeThreadLocal));
    try {
      work(recording);
    } catch (...) {
      cudaStreamEndCapture(recording, &recorded);
      const Graph dropped(recorded);
      throw;
    }
    FACEGEN_CUDA_CHECK(cudaStreamEndCapture(recording, &recorded));
    const Graph graph(recorded);
    cudaGraphExec_t made = nullptr;
    FACEGEN_CUDA_CHECK(cudaGraphInstantiateWithFlags(&made, graph.get(), 0));
    exec = GraphExec(made);
  }
  FACEGEN_CUDA_CHECK(cudaGraphLaunch(exec.get(), stream));
}

void Executable::enqueue_copies_in(Slot& slot, const std::vector<CallerArray>& arrays,
                                   const std::vector<const void*>& from, int64_t images,
                                   cudaStream_t stream) const {
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const auto bytes = static_cast<std::size_t>(arrays[i].image_bytes() * images);
    const bool converts = needs_conversion(arrays[i]);
    void* to = converts ? static_cast<void*>(slot.bytes_in[i].get()) : slot.in[i].get();
    FACEGEN_CUDA_CHECK(cudaMemcpyAsync(to, from[i], bytes, cudaMemcpyHostToDevice, stream));
    if (converts) read_array(at(arrays[i], to), images, slot.in[i].get(), stream);
  }
}

void Executable::enqueue_conversions_out(Slot& slot, const std::vector<CallerArray>& arrays,
                                         int64_t images, cudaStream_t stream) const {
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    if (!needs_conversion(arrays[i])) continue;
    write_array(at(arrays[i], slot.bytes_out[i].get()), images, slot.out[i].get(), stream);
  }
}

void Executable::enqueue_copies_out(const Slot& slot, const std::vector<CallerArray>& arrays,
                                    const std::vector<void*>& to, int64_t images,
                                    cudaStream_t stream) const {
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const auto bytes = static_cast<std::size_t>(arrays[i].image_bytes() * images);
    const void* from = needs_conversion(arrays[i]) ? static_cast<const void*>(slot.bytes_out[i].get())
                                                   : slot.out[i].get();
    FACEGEN_CUDA_CHECK(cudaMemcpyAsync(to[i], from, bytes, cudaMemcpyDeviceToHost, stream));
  }
}

// Runs one chunk after another, on slot 0 and one stream, each in as few launches as possible.
void Executable::run_small(Context& context, ChunkQueue& queue, const HostStaging& staging) const {
  Slot& slot = context.slots[0];
  cudaStream_t stream = context.compute.get();
  while (true) {
    const ChunkQueue::Chunk chunk = queue.take(context.capacity);
    if (chunk.count == 0) break;
    // A graph reads where it read when it was recorded.
    const std::vector<const void*> from = staging.bring_in(slot, chunk.first, chunk.count, true);
    std::vector<int64_t> key = {chunk.count};
    for (const auto* arrays : {&staging.inputs(), &staging.outputs()}) {
      for (const CallerArray& array : *arrays) key.push_back(static_cast<int64_t>(array.element));
    }
    enqueue_as_graph(context, key, stream, [&](cudaStream_t to) {
      enqueue_copies_in(slot, staging.inputs(), from, chunk.count, to);
      enqueue_steps(context, places_of(slot), chunk.count, to);
      enqueue_conversions_out(slot, staging.outputs(), chunk.count, to);
    });
    enqueue_copies_out(slot, staging.outputs(), staging.places_out(slot, chunk.first), chunk.count,
                       stream);
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream));
    staging.bring_out(slot, chunk.first, chunk.count);
  }
}

// Keeps kSlots chunks under way at once.
void Executable::run_pipelined(Context& context, ChunkQueue& queue,
                               const HostStaging& staging) const {
  struct UnderWay {
    Slot* slot;
    ChunkQueue::Chunk chunk;
  };
  std::deque<UnderWay> under_way;
  const auto finish_oldest = [&] {
    const auto [slot, chunk] = under_way.front();
    FACEGEN_CUDA_CHECK(cudaEventSynchronize(slot->left.get()));
    staging.bring_out(*slot, chunk.first, chunk.count);
    under_way.pop_front();
  };
  for (std::size_t number = 0;; ++number) {
    if (under_way.size() == kSlots) finish_oldest();
    const ChunkQueue::Chunk chunk = queue.take(context.capacity);
    if (chunk.count == 0) break;
    Slot& slot = context.slots[number % kSlots];
    enqueue_copies_in(slot, staging.inputs(),
                      staging.bring_in(slot, chunk.first, chunk.count, false), chunk.count,
                      context.in.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.arrived.get(), context.in.get()));
    FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(context.compute.get(), slot.arrived.get(), 0));
    enqueue_steps(context, places_of(slot), chunk.count, context.compute.get());
    enqueue_conversions_out(slot, staging.outputs(), chunk.count, context.compute.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.computed.get(), context.compute.get()));
    FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(context.out.get(), slot.computed.get(), 0));
    enqueue_copies_out(slot, staging.outputs(), staging.places_out(slot, chunk.first), chunk.count,
                       context.out.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.left.get(), context.out.get()));
    under_way.push_back({&slot, chunk});
  }
  while (!under_way.empty()) finish_oldest();
}

}  // namespace facegen::cuda
