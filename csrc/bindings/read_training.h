// Reads a facegen.nn.grad.TrainingProgram into the plain structs of training_program.h.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <vector>

#include "training_program.h"

namespace facegen {

// A program and the arrays that it changes. Raises TypeError or ValueError where anything does not
// fit: what passes here, the engine trusts.
struct TrainingStorage {
  // `arrays`: parameters, moments and averages by name; writeable float32.
  TrainingStorage(const pybind11::object& program, const pybind11::dict& arrays);

  TrainingProgram program;
  std::vector<pybind11::array> kept;
};

}  // namespace facegen
