// The arrays of one call's steps on a GPU, but for inputs and targets.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>

#include "cuda/training/steps.h"
#include "training_program.h"

namespace facegen {

// Losses (steps, losses, images) and lengths (steps,), which the steps fill, and rates (steps, groups): float64.
cuda::Steps read_steps(const TrainingProgram& program, const pybind11::array& losses,
                       const pybind11::array& lengths, const pybind11::array& rates, int64_t part_images);

}  // namespace facegen
