// Reads a facegen.nn.program.Program into the plain structs of program.h.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <deque>
#include <string>
#include <vector>

#include "field_reader.h"
#include "program.h"

namespace facegen {

// The structs of a Program and everything that they point to. The engines trust a Program: here, and
// in check_program.h, is where a wrong one stops.
class ProgramStorage : private FieldReader {
 public:
  // Raises TypeError or ValueError where a field, a constant's dtype or its size does not fit.
  explicit ProgramStorage(const pybind11::object& program);

  // The structs of steps on some buffers, of which neither the places in the arena nor any constant
  // is known: where there is one, the pointer is not null, and points to nothing of use.
  struct Shapes {};
  ProgramStorage(Shapes, const pybind11::object& buffers);
  Step read_step(const pybind11::object& step);

  const Program& program() const { return program_; }
  // Drops the constants that only packing needs (the GEMMs' weights).
  void release_weights();

 private:
  using Constant = pybind11::array_t<float, pybind11::array::c_style>;
  const float* optional_constant(const pybind11::object& name, int64_t size);
  const float* constant(const pybind11::object& name, int64_t size, bool packed_only);
  // `names` in the order of the enum's values.
  template <typename Enum, std::size_t count>
  Enum read_enum(const char* const (&names)[count], const std::string& name, const char* what) const;
  void read_buffers(const pybind11::object& buffers);
  View view(const pybind11::object& object) const;
  View shape(const pybind11::object& object) const;
  Epilogue epilogue(const pybind11::object& object, int channels);
  // `in`: the view that it reads, which of a finish lies nowhere.
  Step read_op(const pybind11::object& object, const View& in);
  AxisTaps axis_taps(const pybind11::object& axis, int out);
  void read_gemm(const pybind11::object& object, Step& step);

  bool shapes_alone_ = false;
  pybind11::dict constants_;
  std::vector<Constant> kept_, packed_only_;
  std::deque<std::vector<Phase>> phases_;
  std::deque<Step> finishes_;
  std::deque<std::vector<int32_t>> positions_;
  std::deque<std::vector<float>> tap_weights_;
  std::vector<Step> steps_;
  std::vector<Buffer> buffers_;
  Program program_{};
};

}  // namespace facegen
