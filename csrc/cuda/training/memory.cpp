// The memory of a batch on a GPU.
#include <algorithm>
#include <new>
#include <string>

#include "check_program.h"
#include "cuda/training/executable.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

// A call's steps are cut where their numbers take more: some thousand steps of LeNet, whose host then
// waits once in 50 ms.
constexpr int64_t kCallBytes = 1 << 20;

}  // namespace

// Asked before anything is allocated: a refusal then leaves nothing half done.
void TrainingExecutable::require_free(int64_t bytes) {
  std::size_t free = 0, total = 0;
  FACEGEN_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  if (bytes > static_cast<int64_t>(free) && free_unused_blocks()) {
    FACEGEN_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  }
  if (bytes <= static_cast<int64_t>(free)) return;
  throw Error(cudaErrorMemoryAllocation, std::to_string(bytes) + " bytes are needed, and " +
                                             std::to_string(free) + " are free");
}

// Whether nothing of it has to be made anew, which steps under way use.
bool TrainingExecutable::has_room(int64_t images, const Sizes& sizes) {
  const CallLayout one = layout_of(images, true);
  if (images > capacity_ || sizes.at_once > part_capacity_ || images > staged_images_ ||
      (sizes.in_parts && sum_.count() == 0) || one.most_steps < 1) {
    return false;
  }
  return std::all_of(sizes.of_calls.begin(), sizes.of_calls.end(), [&](int64_t count) {
    return products_.missing_bytes(count, sizes.places) == 0 &&
           std::max(training_scratch_bytes(program_, count), products_.scratch_bytes(count)) <= scratch_.bytes();
  });
}

// Where there is too little, all that a batch takes is given back: a smaller part may fit then.
void TrainingExecutable::reserve(int64_t images, const Sizes& sizes, bool gathered) {
  last_images_ = predicted_images_ = 0;
  try {
    reserve_call(images, gathered);
    reserve_batch(images, sizes);
  } catch (...) {
    release_values();
    products_.release();
    sum_ = {};
    scratch_ = {};
    aside_scratch_ = {};
    throw;
  }
}

// Graphs have recorded addresses, and go with the memory.
void TrainingExecutable::reserve_batch(int64_t images, const Sizes& sizes) {
  if (images > capacity_ || sizes.at_once > part_capacity_) reserve_values(images, sizes.at_once);
  if (sizes.in_parts && sum_.count() == 0) {
    require_free(4 * gradient_floats_);
    sum_ = allocate_device<float>(gradient_floats_);
  }
  // A smaller batch may be cut into more parts of a product, or be split where a larger one was not.
  int64_t scratch = 0;
  for (const int64_t count : sizes.of_calls) {
    if (const int64_t bytes = products_.missing_bytes(count, sizes.places); bytes > 0) {
      forget_graphs();
      products_.release();
      require_free(bytes);
      products_.reserve(count, sizes.places);
    }
    scratch = std::max({scratch, training_scratch_bytes(program_, count), products_.scratch_bytes(count)});
  }
  if (scratch <= scratch_.bytes()) return;
  forget_graphs();
  scratch_ = {};
  aside_scratch_ = {};
  require_free(2 * scratch);
  aside_scratch_ = allocate_device<char>(scratch);
  scratch_ = allocate_device<char>(scratch);
}

void TrainingExecutable::reserve_values(int64_t images, int64_t part_images) {
  images = std::max(images, capacity_);
  part_images = std::max(part_images, part_capacity_);
  if (program_.arena_floats > kMostFloats / part_images || !is_countable(program_, part_images)) {
    throw std::bad_alloc();
  }
  int64_t of_image = 2 * loss_count_;
  for (const auto* floats : {&input_floats_, &target_floats_}) {
    for (const int64_t count : *floats) of_image += count;
  }
  int64_t kept = 0;  // which is gathered when a step is over: there must be room then, on every rank
  for (const int32_t value : program_.kept) {
    if (sharing_.peers) kept = std::max(kept, program_.values[static_cast<std::size_t>(value)].floats());
  }
  if (of_image + kept > kMostFloats / images) throw std::bad_alloc();
  release_values();
  require_free(4 * (part_images * program_.arena_floats + images * (of_image + kept)));
  arena_ = allocate_device<float>(part_images * program_.arena_floats);
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    inputs_[i] = allocate_device<float>(images * input_floats_[i]);
  }
  for (std::size_t i = 0; i < targets_.size(); ++i) {
    targets_[i] = allocate_device<float>(images * target_floats_[i]);
  }
  kept_ = allocate_device<float>(images * kept);
  losses_ = allocate_device<double>(loss_count_ * images);
  capacity_ = images;
  part_capacity_ = part_images;
}

void TrainingExecutable::release_values() {
  forget_graphs();
  capacity_ = part_capacity_ = 0;
  release_staged();
  arena_ = {};
  kept_ = {};
  losses_ = {};
  for (auto* memory : {&inputs_, &targets_}) {
    for (auto& array : *memory) array = {};
  }
}

void TrainingExecutable::release_staged() {
  for (Staged& staged : staged_) staged.arrays.clear();
  staged_images_ = 0;
}

// Where the batches of steps that are not waited for arrive.
void TrainingExecutable::reserve_staged(int64_t images) {
  if (images <= staged_images_) return;
  settle();
  release_staged();
  int64_t of_image = 0;
  for (const auto* floats : {&input_floats_, &target_floats_}) {
    for (const int64_t count : *floats) of_image += count;
  }
  require_free(4 * images * of_image * static_cast<int64_t>(staged_.size()));
  if (!arrivals_stream_) arrivals_stream_ = make_stream();
  for (Staged& staged : staged_) {
    for (Event* event : {&staged.arrived, &staged.fetched}) {
      if (!*event) *event = make_event();
    }
    for (const auto* floats : {&input_floats_, &target_floats_}) {
      for (const int64_t count : *floats) staged.arrays.push_back(allocate_device<float>(images * count));
    }
  }
  staged_images_ = images;
}

CallLayout TrainingExecutable::layout_of(int64_t images, bool gathered) const {
  const auto round = [](int64_t bytes) { return divide_up(bytes, int64_t{16}) * 16; };
  const auto arrays = static_cast<int64_t>(inputs_.size() + targets_.size());
  CallLayout layout = {};
  layout.entries_at = round(static_cast<int64_t>(sizeof(Cursor)) + 8 * arrays);
  layout.entry_bytes = round(numbers_.bytes() + (gathered ? 4 * images : 0));
  layout.result_bytes = static_cast<int64_t>(sizeof(StepState)) + 8 * loss_count_ * images;
  layout.most_steps = std::min((call_.bytes() - layout.entries_at) / layout.entry_bytes,
                               results_.bytes() / layout.result_bytes);
  return layout;
}

void TrainingExecutable::reserve_call(int64_t images, bool gathered) {
  const CallLayout one = layout_of(images, gathered);
  const auto reserve = [&](DeviceMemory<char>& memory, PinnedMemory<char>& on_host, int64_t needed) {
    const int64_t bytes = std::max(needed, kCallBytes);
    if (bytes <= memory.bytes()) return;
    forget_graphs();
    memory = {};
    on_host = {};
    require_free(bytes);
    on_host = allocate_pinned<char>(bytes);
    memory = allocate_device<char>(bytes);
  };
  reserve(call_, host_call_, one.entries_at + one.entry_bytes);
  reserve(results_, host_results_, one.result_bytes);
}

}  // namespace facegen::cuda
