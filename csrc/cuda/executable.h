// A Program made ready for one GPU: weights packed and uploaded once, memory planned for a chunk of
// images, batches of any size run through it with the copies hidden behind the arithmetic.
//
//   host array --copy--> pinned --H2D--> device in | steps | device out --D2H--> pinned --copy--> host
//
// (arrays that are pinned themselves, as empty_pinned makes them, need no copy on the host.)
// kSlots chunks are under way at once, each on the next pair of staging buffers: while one is
// computed, the one before it travels out and the one after it travels in, on streams of their own.
// Small batches take one launch of a CUDA graph that holds the copies in and the steps. Arrays that are
// on the device stay there: the steps read and write them in place where they lie as the steps want
// them, and all is enqueued on the caller's stream.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cuda/caller_array.h"
#include "cuda/gemm.h"
#include "cuda/runtime/chunk_queue.h"
#include "cuda/runtime/context.h"
#include "cuda/runtime/device.h"
#include "cuda/runtime/memory.h"
#include "program.h"

namespace facegen::cuda {

class HostStaging;

struct Options {
  int device = 0;
  Precision precision = Precision::kFloat32;
  // As in Target.
  std::string kernels = "auto";
  int64_t max_images = 0;    // of one chunk; 0: as many as a share of the memory holds
  int64_t memory_limit = 0;  // bytes of buffers; 0: what the GPU has
  bool poison = false;       // buffers start as NaN: for tests
};

class Executable {
 public:
  // Copies what it needs of `program`, the small constants included. Throws std::invalid_argument for
  // a step that this GPU has no kernel for.
  Executable(const Program& program, const Options& options);
  ~Executable();

  // inputs[i] and outputs[i] hold queue.images() images of the program's i-th input and output, on
  // the host, as float32 or pixels. Runs chunks until the queue is empty; `threads` copy to and from
  // staging memory. Safe to call from several threads at once. Where memory is short, chunks become
  // smaller; throws Error with cudaErrorMemoryAllocation where not even one image fits.
  void run(ChunkQueue& queue, const std::vector<CallerArray>& inputs,
           const std::vector<CallerArray>& outputs, int threads) const;

  // The same with arrays on this device, of any element: enqueues all of it on `stream`, and waits
  // for nothing. The arrays must stay until it is done.
  void enqueue(const std::vector<CallerArray>& inputs, const std::vector<CallerArray>& outputs,
               int64_t images, cudaStream_t stream) const;

  // Milliseconds of each of `repeats` runs of all steps on `images` images that stay on the device,
  // and of each step on its own.
  std::vector<float> time_resident(int64_t images, int repeats, bool graph) const;
  std::vector<float> time_steps(int64_t images, int repeats) const;
  // What runs each step but the constant ones: "mma bf16x3", "instance norm".
  std::vector<std::string> step_kernels() const;

  const DeviceInfo& device() const { return device_; }
  int64_t max_images() const { return max_images_; }

 private:
  // Where the steps read and write each input and output, on the device.
  struct Places {
    std::vector<float*> in, out;
  };
  static Places places_of(const Slot& slot);

  // A context of the pool, for work on its own streams or on the caller's: that waits for what was
  // last done in it, and for its constant steps.
  std::unique_ptr<Context> take_context(int64_t images) const;
  std::unique_ptr<Context> take_context(int64_t images, cudaStream_t stream) const;
  std::unique_ptr<Context> take_any_context(int64_t images) const;
  static void wait_for_last_user(Context& context, cudaStream_t stream);
  // Gives a context back whose next user must wait for the work that is on the caller's stream now.
  void give_back(std::unique_ptr<Context> context, cudaStream_t stream) const;
  static bool is_default(cudaStream_t stream);
  // Enqueues all but the constant steps.
  void enqueue_steps(const Context& context, const Places& places, int64_t images,
                     cudaStream_t stream) const;
  void enqueue_step(const Context& context, const Places& places, std::size_t step, int64_t images,
                    cudaStream_t stream) const;
  // The first time that a key is seen, enqueues what `work` does on `stream`; the second time, records
  // it into a graph, and from then on launches that.
  template <class Work>
  void enqueue_as_graph(Context& context, const std::vector<int64_t>& key, cudaStream_t stream,
                        const Work& work) const;
  // `from` and `to`: pinned memory of each input and output.
  void enqueue_copies_in(Slot& slot, const std::vector<CallerArray>& arrays,
                         const std::vector<const void*>& from, int64_t images,
                         cudaStream_t stream) const;
  void enqueue_conversions_out(Slot& slot, const std::vector<CallerArray>& arrays, int64_t images,
                               cudaStream_t stream) const;
  void enqueue_copies_out(const Slot& slot, const std::vector<CallerArray>& arrays,
                          const std::vector<void*>& to, int64_t images, cudaStream_t stream) const;
  void enqueue_arrays(Context& context, const std::vector<CallerArray>& inputs,
                      const std::vector<CallerArray>& outputs, int64_t images,
                      cudaStream_t stream) const;
  void run_small(Context& context, ChunkQueue& queue, const HostStaging& staging) const;
  void run_pipelined(Context& context, ChunkQueue& queue, const HostStaging& staging) const;
  const float* upload_constant(const float* values, int64_t count);
  AxisTaps upload_taps(const AxisTaps& axis, int64_t outputs);
  Layout layout(const View& view) const;

  DeviceInfo device_;
  Target target_;
  std::vector<Step> steps_;
  std::size_t constant_steps_;  // the first ones
  std::vector<Kernel> kernels_;  // by step
  std::vector<std::string> names_;
  std::vector<Buffer> buffers_;
  ContextSizes sizes_;
  int64_t max_images_ = 1;
  std::vector<DeviceMemory<float>> constants_;
  std::vector<DeviceMemory<int32_t>> positions_;
  std::vector<std::unique_ptr<Gemm>> gemms_;  // by step; null for other ops
  std::unique_ptr<ContextPool> contexts_;
};

}  // namespace facegen::cuda
