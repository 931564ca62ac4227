// The arrays of a batch, or of a data set, for training on a GPU: on the host, or there already.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

#include "cuda/training/sources.h"
#include "training_program.h"

namespace facegen {

struct Sources {
  std::vector<cuda::Pieces> inputs, targets;
};

// Each is a NumPy array, as a step on the CPU takes it; or a tuple of an array on the GPU: its name for
// messages, pointer, element ("float32"), (h, w, c), strides of (n, h, w, c) in elements, and the DeviceArray that
// it is, or the stream behind whose work its numbers are there; or one of pieces: whether they are interleaved, and
// [(images, piece), ...].
// Raises TypeError or ValueError where one does not fit the program. The arrays must outlive the sources.
Sources read_sources(const TrainingProgram& program, const std::vector<pybind11::object>& inputs,
                     const std::vector<pybind11::object>& targets, int64_t images);
// Of a forward pass.
std::vector<cuda::Pieces> read_input_sources(const TrainingProgram& program,
                                             const std::vector<pybind11::object>& inputs, int64_t images);

// Pictures (images, h, w, c) alone, of numbers.
cuda::Source read_pictures(const pybind11::object& pictures, int64_t images, int32_t h, int32_t w, int32_t c);

}  // namespace facegen
