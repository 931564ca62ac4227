// A Program fitted to one GPU: steps merged where one kernel can do both, and how its buffers lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "cuda/tensor.h"
#include "program.h"

namespace facegen::cuda {

enum class Precision : int32_t {
  kFloat32,  // bf16 x 3 on tensor cores: see docs/accuracy.md
  kStrict,   // plain float32 multiply-adds
  kTf32,
  kFloat16,
};

// The kernels that do a convolution with its max-pool: see hopper_pool.h.
enum class PoolKernel { kNone, kStem, kWindows, kMaps, kExpand };

struct PreparedStep {
  Step step;
  // A second place for the output, or for max(output, 0): what a U-Net's skip connection reads.
  View copy;
  bool copy_relu = false;
  // A GEMM of the softmax of its input, over the channels.
  bool softmax = false;
  // A GEMM whose output is max-pooled: step.out is the pool's.
  PoolKernel pool = PoolKernel::kNone;
  // A linear layer whose softmax is the output.
  bool softmax_follows = false;
  // A 1x1 convolution that alone reads the GEMM's output and is computed with it; then step.out lies
  // nowhere.
  std::optional<Step> squeeze;
  // A GEMM whose output the next step alone reads, which is a norm: it may leave it in slices.
  bool norm_follows = false;

  const View& output() const { return squeeze ? squeeze->out : step.out; }
};

struct PreparedProgram {
  std::vector<PreparedStep> steps;  // point to the Program's constants, and to these
  std::deque<std::vector<float>> constants;
  std::vector<Buffer> buffers;
  std::vector<Layout> layouts;  // by buffer
  int64_t arena_floats = 0;
  // The first steps make the same of every image: they run once for each set of buffers.
  std::size_t constant_steps = 0;
};

// In prepare_constants.cpp. A norm over one pixel is its beta: it reads nothing, and steps that it
// alone read are dropped.
void replace_norms_of_one_pixel(PreparedProgram& program);
// Puts the steps whose result does not depend on the inputs first, and counts them.
void find_constant_steps(PreparedProgram& program);

// `kernels` as in Options (executable.h); `major`: compute capability.
PreparedProgram prepare(const Program& program, Precision precision, const std::string& kernels,
                        int major);

}  // namespace facegen::cuda
