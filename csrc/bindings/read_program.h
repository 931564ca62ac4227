// From facegen.nn.program.Program to the plain structs of program.h.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <deque>
#include <vector>

#include "program.h"

namespace facegen {

// The structs of a Program and everything that they point to.
class ProgramStorage {
 public:
  // Raises TypeError or ValueError where a field, a constant's dtype or its size does not fit.
  explicit ProgramStorage(const pybind11::object& program);

  const Program& program() const { return program_; }
  // Drops the constants that only packing needs (the GEMMs' weights).
  void release_weights();

 private:
  using Constant = pybind11::array_t<float, pybind11::array::c_style>;
  const float* optional_constant(const pybind11::object& name, int64_t size);
  const float* constant(const pybind11::object& name, int64_t size, bool packed_only);
  View view(const pybind11::object& object) const;
  Epilogue epilogue(const pybind11::object& object, int channels);
  Step step(const pybind11::object& object);

  pybind11::dict constants_;
  std::vector<Constant> kept_, packed_only_;
  std::deque<std::vector<Phase>> phases_;
  std::vector<Step> steps_;
  std::vector<Buffer> buffers_;
  Program program_{};
};

}  // namespace facegen
