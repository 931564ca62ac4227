// A Program made ready for the CPU: weights packed once, memory planned once, run() per batch.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "cpu/arena_store.h"
#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "program.h"

namespace facegen::cpu {

// The name of what runs a step, "winograd" or "max pool"; empty where nothing here can.
const char* find_kernel(const Step& step, const Kernels& kernels);

class Executable {
 public:
  // Copies what it needs of `program` except the small constants (bias, scale, shift, gamma, beta,
  // tables), which must outlive it. Weights are packed by `threads`, a step each. Throws
  // std::invalid_argument for a step that nothing here can do.
  Executable(const Program& program, const Kernels& kernels, int threads = 1);

  // inputs[i] and outputs[i] hold `images` images of the program's i-th input and output buffer.
  // Several threads may call it at once.
  void run(int64_t images, const float* const* inputs, float* const* outputs, int threads) const;

  const Kernels& kernels() const { return kernels_; }

 private:
  // What a run of all steps has in memory: images first, first + 1, ... of the caller's buffers.
  struct Batch {
    float* arena;  // of all images, each with its own
    int64_t first;
    const float* const* inputs;
    float* const* outputs;
  };
  void run_images(int64_t first, int64_t images, const float* const* inputs, float* const* outputs,
                  int threads) const;
  // `images` images of a batch, from its image `first` on.
  void run_step(std::size_t step, const Batch& batch, int64_t first, int64_t images,
                int threads) const;

  const Kernels& kernels_;
  std::vector<Step> steps_;
  std::vector<Buffer> buffers_;
  int64_t arena_stride_;  // floats from one image's arena to the next
  int64_t map_floats_;    // of one image's arena, and of the largest map that is pooled as it is made
  int64_t weight_floats_ = 0;
  static constexpr int64_t kAllImages = std::numeric_limits<int64_t>::max();
  std::vector<int64_t> at_once_;  // by step: images that fit the cache together
  std::vector<std::unique_ptr<Gemm>> gemms_;  // by step; null for other ops
  mutable ArenaStore arenas_;
};

}  // namespace facegen::cpu
