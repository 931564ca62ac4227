// A TrainingProgram made ready for one GPU: run() is one step of training on a batch.
//
// Parameters, moments, gradients and all values stay on the GPU. A call of one step copies its batch up; one of
// many takes rows of a data set that is there. The numbers of all its steps, such as rates, are copied up
// at once, each step is a part of a graph (recorded once a batch size) that reads its own from memory, and
// losses and lengths of gradients are copied down at the end: see begin.h.
//
// Steps that begin() enqueues are not waited for, nor is what follows them. Their batches arrive, on a stream of
// their own, while the step before is under way, and the first kernel of each fetches its own, unless a step before
// had a number that is not finite: then all is as that one had it when finish() comes to it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda/fit/shares.h"
#include "cuda/runtime/memory.h"
#include "cuda/training/arrays.h"
#include "cuda/training/aside.h"
#include "cuda/training/call.h"
#include "cuda/training/peers.h"
#include "cuda/training/products.h"
#include "cuda/training/steps.h"
#include "cuda/training/update.h"
#include "training_program.h"

namespace facegen::cuda {

// How each batch is shared: by several GPUs, or in shares whose sums are those of several.
struct Sharing {
  std::shared_ptr<const Peers> peers;  // null: there is one GPU
  int shares = 1;                      // a power of 2, see OwnShares

  int rank() const { return peers ? peers->rank() : 0; }
  int ranks() const { return peers ? peers->size() : 1; }
  OwnShares own(int64_t images) const { return of(images, rank()); }
  OwnShares of(int64_t images, int rank) const { return own_shares(images, rank, ranks(), shares); }
};

class TrainingExecutable {
 public:
  // The program's arrays on the host must outlive it. `threads` copy batches of the host to pinned memory.
  TrainingExecutable(TrainingProgram program, int device, ProductKernels kernels, ProductPrecision precision,
                     Sharing sharing, int threads);
  ~TrainingExecutable();

  // Does the steps, up to the first whose numbers are not all finite. Throws std::invalid_argument for a
  // target on the GPU that breaks its rule, and a batch that cannot be shared; then nothing is done. Of inputs
  // a rank needs its own images alone.
  Outcome run(const Steps& steps);
  // What became of a step that is not to be waited for.
  enum class Beginning {
    kBegun,
    kFinishFirst,  // there are kMostBegun, or this one takes more memory
    kRun,          // none is under way, and there is no memory for what waiting saves: run() may have enough
  };
  // Enqueues one step, whose `losses` and `lengths` are not used. Throws as run() does, and for steps of several
  // GPUs. Until all are finished there are only more of them, forward passes, copies, and what the host does with
  // arrays.
  Beginning begin(const Steps& steps);
  // Waits for the oldest of these; fills its losses (losses, images) and the length of its gradient. Where a number
  // was not finite those behind it are over, too, and have changed nothing; its first loss is NaN then, for callers
  // who never hear of the outcome.
  Outcome finish(double* losses, double* length);
  static constexpr std::size_t kMostBegun = 8;
  std::size_t begun() const { return begun_.size(); }
  int64_t begun_images() const { return begun_.empty() ? 0 : begun_.front().kind.images; }
  // The forward pass of a step, of its images, inputs, seed and first; changes nothing. `outputs`, by losses,
  // get what each is of, (images, height, width, channels): it is there behind what is on the stream then. False
  // where steps have to be finished first.
  bool predict(const Steps& steps, const std::vector<float*>& outputs);
  // A data set that run() takes rows of; throws as run() does.
  std::shared_ptr<const HeldArrays> hold(int64_t images, const std::vector<Pieces>& inputs,
                                         const std::vector<Pieces>& targets);

  bool takes(const HeldArrays& held) const;

  // What is copied goes to the host or to this GPU's memory, and is there behind what is on the stream then.
  bool has_gradient(std::size_t array) const { return gradient_at_[array] >= 0; }
  void copy_gradient(std::size_t array, float* to) const;
  // Of a batch of so many images, which the last one must have been. Of several GPUs each gets those of all, which
  // all ask for alike; it is there then.
  void copy_kept(std::size_t number, int64_t images, float* to);
  void wait() const;
  // 0 where its values are not all there: none is left of a batch in parts.
  int64_t last_images() const { return last_images_; }
  int64_t loss_count() const { return loss_count_; }
  int device() const { return device_; }
  cudaStream_t stream() const { return stream_.get(); }

  // The host's arrays become what the steps have made of them ...
  void download();
  // ... or the other way round.
  void upload();
  int64_t memory_bytes() const;
  // What each step takes on the last batch, launched alone, the best of several; 0 of what updates. Values
  // and gradients of that batch are lost.
  std::vector<double> time_steps();
  // What computes each step's product on the last batch; empty for other steps.
  std::vector<std::string> kernel_names() const;

 private:
  // A batch, as the graphs that are recorded of it depend on it.
  struct Kind {
    int64_t images, part_images;
    bool update, predicted, gathered;
    int32_t steps;  // of a graph, one behind the other
    bool in_parts() const { return part_images < images; }
    auto key() const { return std::tie(images, part_images, update, predicted, gathered, steps); }
    bool operator<(const Kind& other) const { return key() < other.key(); }
  };
  // Images whose values are there at a time; numbers of images that calls have; and how many places there are
  // of such.
  struct Sizes {
    int64_t at_once;
    std::vector<int64_t> of_calls;
    int32_t places;
    bool in_parts;  // one after another
  };

  // ---- update.cpp
  void plan_updates();
  void put_updates(char* to, const double* rates, uint64_t step) const;
  // ---- executable.cpp
  void plan_taps();
  // ---- memory.cpp
  static void require_free(int64_t bytes);
  bool has_room(int64_t images, const Sizes& sizes);
  void reserve(int64_t images, const Sizes& sizes, bool gathered);
  void reserve_batch(int64_t images, const Sizes& sizes);
  void reserve_values(int64_t images, int64_t part_images);
  void release_values();
  void reserve_staged(int64_t images);
  void release_staged();
  void reserve_call(int64_t images, bool gathered);
  CallLayout layout_of(int64_t images, bool gathered) const;
  // ---- batches.cpp
  void take_inputs(const std::vector<Pieces>& inputs, int64_t begin, int64_t end, const DeviceMemory<float>* to,
                   cudaStream_t stream);
  void take_targets(const std::vector<Pieces>& targets, const DeviceMemory<float>* to, cudaStream_t stream);
  void take_batch(const Steps& steps, const DeviceMemory<float>* inputs, const DeviceMemory<float>* targets,
                  cudaStream_t stream);
  void take(const Source& source, int64_t floats, SourceRule rule, int64_t classes, float* to, cudaStream_t stream);
  // ---- run.cpp
  Kind kind_of(const Steps& steps, bool gathered) const;
  void check_steps(const Steps& steps) const;
  struct Staged;
  int64_t put_step(const Steps& steps, const Staged* staged, char* call) const;
  static void put_addresses(const std::vector<DeviceMemory<float>>& arrays, char* call);
  void put_entry(const Steps& steps, int64_t step, const int32_t* rows, char* entry) const;
  void put_call(const Steps& steps, int64_t first, int64_t count, const CallLayout& layout);
  int64_t read_results(const Steps& steps, int64_t first, int64_t count, const CallLayout& layout) const;
  void enqueue_forward(const Steps& steps, const std::vector<float*>& outputs);
  void mark_changed();
  void follow_arrays() const;
  void use_arrays() const;
  void settle() const noexcept;
  Outcome explain_stopped(const Kind& kind, int64_t step);
  // ---- begun.cpp
  struct Begun;
  bool prepare_begun(const Kind& kind, bool again, Begun& begun);
  void enqueue_begun(const Steps& steps, Begun& begun);
  Staged& next_staged();
  void mark_arrived(const Staged& staged) const;
  // ---- graphs.cpp
  void forget_graphs();
  void launch_all(Kind kind, int64_t count);
  void launch(const Kind& kind);
  GraphExec record(const Kind& kind);
  std::vector<std::vector<Part>> parts_of(const Kind& kind) const;
  void enqueue(const Kind& kind);
  void enqueue_begin(const Kind& kind);
  void enqueue_steps(const std::vector<Part>& parts, std::size_t first);
  void enqueue_sum(const Part& part);
  void enqueue_end(const Kind& kind);
  // ---- shares.cpp
  void plan_shares();
  void check_shares(int64_t images) const;
  Sizes sizes_of(const Kind& kind) const;
  std::vector<Part> shares_of(int64_t images) const;
  bool is_shared() const { return sharing_.peers != nullptr || sharing_.shares > 1; }
  void enqueue_all(std::size_t step, const std::vector<Part>& parts);
  void enqueue_joined(std::size_t step, const std::vector<Part>& parts);
  void enqueue_totals(std::size_t step, const std::vector<Part>& parts);
  void join_totals();
  KeptFlags enqueue_kept_flags(int64_t images);
  // ---- steps.cpp
  std::size_t losses_begin() const {
    return static_cast<std::size_t>(program_.forward_steps - loss_count_);
  }
  void enqueue_step(std::size_t step, const Part& part);
  void enqueue_aside(std::size_t step, const Part& part);
  TrainingMap locate(int32_t value, const Part& part) const;
  TrainingCall call(const TrainingStep& step, const Part& part) const;
  NormMemory norm(const TrainingStep& step, const Part& part) const;
  // ---- explain.cpp
  Outcome explain_step(const Kind& kind, int64_t step);
  struct Found {
    std::string what;  // empty: nothing
    int64_t where = -1;
  };
  Found explain(const Kind& kind);
  Found explain_given(const std::vector<Part>& parts);
  Found explain_steps(const std::vector<Part>& parts);
  std::string explain_result(std::size_t step, const Part& part);
  int64_t first_not_finite(const float* numbers, int64_t count);
  int64_t read_place(int64_t count, cudaStream_t stream);
  float* array(int32_t index) const { return arrays_[static_cast<std::size_t>(index)]->get(); }
  float* gradient_of(int32_t index, int32_t place = 0) const {
    return gradients_.get() + place * gradient_floats_ + gradient_at_[static_cast<std::size_t>(index)];
  }

  TrainingProgram program_;
  int device_;
  std::vector<std::shared_ptr<SharedArray>> arrays_;
  std::vector<int64_t> gradient_at_;    // by array: floats from the start, -1: not trained
  std::vector<int64_t> statistics_at_;  // by array of the batch
  std::vector<int64_t> loss_number_;    // by step
  int64_t gradient_floats_ = 0, loss_count_ = 0;
  DeviceMemory<float> gradients_;  // by places; the first becomes the sum
  DeviceMemory<float> statistics_, arena_;
  DeviceMemory<float> sum_;  // of the gradients of parts
  std::vector<DeviceMemory<float>> inputs_, targets_;  // labels are int32
  std::vector<int64_t> input_floats_, target_floats_;  // of an image
  DeviceMemory<char> scratch_, aside_scratch_;
  DeviceMemory<uint32_t> arrivals_, aside_arrivals_;
  Products products_;
  Aside aside_;
  DeviceMemory<double> losses_, squares_;
  DeviceMemory<StepState> state_;
  DeviceMemory<unsigned long long> place_;
  DeviceMemory<char> numbers_;  // of the step under way: see begin.h
  DeviceMemory<char> call_, results_;
  PinnedMemory<char> host_call_, host_results_;
  DeviceMemory<int32_t> stopped_;  // see begin.h
  DeviceMemory<int32_t> kept_not_finite_;  // see KeptFlags
  DeviceMemory<float> kept_;  // a value of all ranks, on its way out
  // A step that is not waited for: what goes up and comes down.
  struct Begun {
    Kind kind = {};
    PinnedMemory<char> call, result;
    Event done;
  };
  std::deque<Begun> begun_;                  // the oldest first
  std::vector<Begun> spare_;                 // whose memory the next ones have
  // Where batches arrive, in turn: one is filled while the step before reads the other.
  struct Staged {
    std::vector<DeviceMemory<float>> arrays;  // inputs and targets
    Event arrived, fetched;
  };
  std::array<Staged, 2> staged_;
  std::size_t staged_next_ = 0;
  int64_t staged_images_ = 0;
  std::vector<const TrainingStep*> updates_;
  DeviceMemory<UpdatedArray> updated_;
  DeviceMemory<UpdateBlock> blocks_;
  // Tables of resampling steps, by step: rows and columns.
  std::map<std::size_t, std::pair<DeviceTaps, DeviceTaps>> taps_;
  std::vector<DeviceMemory<int32_t>> tap_places_;
  std::vector<DeviceMemory<float>> tap_weights_;
  int64_t capacity_ = 0, part_capacity_ = 0;  // images
  int64_t last_images_ = 0;                   // of the last batch, if it was computed at once
  int64_t last_part_images_ = 0;
  int64_t predicted_images_ = 0;  // of a forward pass whose values are still there
  Sharing sharing_;
  std::vector<Bucket> buckets_;
  DeviceMemory<double> nodes_;  // of a batch norm, by shares
  DeviceMemory<float> norm_shares_;
  Stream stream_, totals_stream_;  // on which gradients are added up
  Stream arrivals_stream_;         // of batches that are staged
  Event ready_, total_;
  std::shared_ptr<Event> used_;  // by steps that are not waited for: the arrays
  bool adding_ = false;  // something runs on totals_stream_
  Intake intake_;
  std::map<Kind, GraphExec> graphs_;  // null: such a batch came once
};

}  // namespace facegen::cuda
