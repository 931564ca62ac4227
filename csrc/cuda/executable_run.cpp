// Batches through an executable: the small ones as graphs, the others in a pipeline of chunks.
#include <algorithm>
#include <deque>

#include "cuda/executable.h"
#include "cuda/runtime/host_staging.h"

namespace facegen::cuda {
namespace {

// Up to here, launching costs more than computing, and a graph of everything pays.
constexpr int64_t kGraphImages = 64;
constexpr std::size_t kMaxGraphs = 16;  // of a context

}  // namespace

void Executable::run(ChunkQueue& queue, const float* const* inputs, float* const* outputs,
                     int threads) const {
  if (queue.images() == 0) return;
  const DeviceScope scope(device_.index);
  auto context = take_context(std::min(queue.largest(), max_images_));
  const HostStaging staging(sizes_, inputs, outputs, context->capacity, threads);
  if (queue.images() <= kGraphImages) {
    run_small(*context, queue, staging);
  } else {
    run_pipelined(*context, queue, staging);
  }
  contexts_->give_back(std::move(context));
}

void Executable::enqueue_copies_in(const Slot& slot, const std::vector<const float*>& from,
                                   int64_t images, cudaStream_t stream) const {
  for (std::size_t i = 0; i < sizes_.inputs.size(); ++i) {
    FACEGEN_CUDA_CHECK(cudaMemcpyAsync(slot.in[i].get(), from[i],
                                       static_cast<std::size_t>(sizes_.inputs[i] * images) * 4,
                                       cudaMemcpyHostToDevice, stream));
  }
}

void Executable::enqueue_copies_out(const Slot& slot, const std::vector<float*>& to,
                                    int64_t images, cudaStream_t stream) const {
  for (std::size_t i = 0; i < sizes_.outputs.size(); ++i) {
    FACEGEN_CUDA_CHECK(cudaMemcpyAsync(to[i], slot.out[i].get(),
                                       static_cast<std::size_t>(sizes_.outputs[i] * images) * 4,
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

// One chunk after another, each in as few launches as possible.
void Executable::run_small(Context& context, ChunkQueue& queue, const HostStaging& staging) const {
  Slot& slot = context.slots[0];
  cudaStream_t stream = context.compute.get();
  while (true) {
    const ChunkQueue::Chunk chunk = queue.take(context.capacity);
    if (chunk.count == 0) break;
    // A graph reads where it read when it was recorded.
    staging.bring_in(slot, chunk.first, chunk.count, true);
    enqueue_small(context, chunk.count);
    enqueue_copies_out(slot, staging.places_out(slot, chunk.first), chunk.count, stream);
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream));
    staging.bring_out(slot, chunk.first, chunk.count);
  }
}

// kSlots chunks under way at once.
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
    const std::vector<const float*> from = staging.bring_in(slot, chunk.first, chunk.count, false);
    enqueue_copies_in(slot, from, chunk.count, context.in.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.arrived.get(), context.in.get()));
    FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(context.compute.get(), slot.arrived.get(), 0));
    enqueue_steps(context, slot, chunk.count, context.compute.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.computed.get(), context.compute.get()));
    FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(context.out.get(), slot.computed.get(), 0));
    enqueue_copies_out(slot, staging.places_out(slot, chunk.first), chunk.count, context.out.get());
    FACEGEN_CUDA_CHECK(cudaEventRecord(slot.left.get(), context.out.get()));
    under_way.push_back({&slot, chunk});
  }
  while (!under_way.empty()) finish_oldest();
}

}  // namespace facegen::cuda
