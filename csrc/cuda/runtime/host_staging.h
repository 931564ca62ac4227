// The caller's arrays of one run, and the way between them and pinned memory.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/caller_array.h"
#include "cuda/runtime/context.h"

namespace facegen::cuda {

class HostStaging {
 public:
  // inputs[i] and outputs[i]: all images of the i-th; `capacity`: of the context that runs them;
  // `threads` copy. The arrays must outlive this.
  HostStaging(const std::vector<CallerArray>& inputs, const std::vector<CallerArray>& outputs,
              int64_t capacity, int threads);

  // Pinned memory that holds the inputs of `count` images from `first` on: the caller's own, or
  // copies in the slot.
  std::vector<const void*> bring_in(Slot& slot, int64_t first, int64_t count,
                                    bool always_copy) const;
  // Pinned memory for the outputs, likewise ...
  std::vector<void*> places_out(Slot& slot, int64_t first) const;
  // ... and on to the caller, once they are there.
  void bring_out(const Slot& slot, int64_t first, int64_t count) const;

  const std::vector<CallerArray>& inputs() const { return inputs_; }
  const std::vector<CallerArray>& outputs() const { return outputs_; }

 private:
  void* staging(PinnedMemory<char>& array, int64_t image_bytes) const;

  const std::vector<CallerArray>& inputs_;
  const std::vector<CallerArray>& outputs_;
  int64_t capacity_;
  int threads_;
  std::vector<bool> in_pinned_, out_pinned_;
};

}  // namespace facegen::cuda
