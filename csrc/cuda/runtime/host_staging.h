// The caller's arrays of one run, and the way between them and pinned memory.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/runtime/context.h"

namespace facegen::cuda {

class HostStaging {
 public:
  // inputs[i] and outputs[i]: all images of the i-th; `capacity`: of the context that runs them;
  // `threads` copy. `sizes` must outlive this.
  HostStaging(const ContextSizes& sizes, const float* const* inputs, float* const* outputs,
              int64_t capacity, int threads);

  // Pinned memory that holds the inputs of `count` images from `first` on: the caller's own, or
  // copies in the slot.
  std::vector<const float*> bring_in(Slot& slot, int64_t first, int64_t count,
                                     bool always_copy) const;
  // Pinned memory for the outputs, likewise ...
  std::vector<float*> places_out(Slot& slot, int64_t first) const;
  // ... and on to the caller, once they are there.
  void bring_out(const Slot& slot, int64_t first, int64_t count) const;

 private:
  float* staging(PinnedArray<float>& array, int64_t floats) const;

  const ContextSizes& sizes_;
  const float* const* inputs_;
  float* const* outputs_;
  int64_t capacity_;
  int threads_;
  std::vector<bool> in_pinned_, out_pinned_;
};

}  // namespace facegen::cuda
