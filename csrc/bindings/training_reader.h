// Reads a training program object by object. What all of its parts share is here; each file of
// read_training*.cpp has the definitions of some.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <map>
#include <string>

#include "check_program.h"
#include "field_reader.h"
#include "read_training.h"

namespace facegen {

namespace py = pybind11;

inline bool in_range(int64_t value, int64_t first, int64_t last) { return first <= value && value <= last; }

inline std::string kind_of(const py::object& step) {
  return py::type::of(step).attr("__name__").cast<std::string>();
}

class TrainingReader : private FieldReader {
 public:
  explicit TrainingReader(TrainingStorage& storage)
      : FieldReader("training program"), storage_(storage), program_(storage.program) {}

  // read_training.cpp
  void read(const py::object& object, const py::dict& arrays);

 private:
  template <typename Enum>
  Enum named(const std::map<std::string, Enum>& names, const std::string& name) const {
    const auto found = names.find(name);
    require(found != names.end(), "unknown " + name);
    return found->second;
  }
  // Gradients have room where a parameter is updated.
  void check_gradients() const;
  void read_values(const py::object& object);
  void read_arrays(const py::dict& arrays);
  int32_t read_steps(const py::object& steps, bool updating);
  // Of an operand that the step must have: none is -1.
  const TrainingValue& at(int32_t index) const;
  int32_t value(const py::object& name) const;
  // One that a step writes.
  int32_t written(const py::object& name) const;
  int32_t array(const py::object& name, int64_t floats) const;
  int32_t statistics(const py::object& name, int64_t floats) const;
  void require_same(int32_t a, int32_t b, const std::string& name) const;

  // read_training_steps.cpp
  TrainingStep read_step(const py::object& object) const;
  void read_norm(const py::object& object, TrainingStep& s) const;
  void read_groups(const py::object& object, TrainingStep& s) const;
  void read_blocks(const py::object& object, TrainingStep& s) const;
  // One pixel, or one channel, for all of a map; or one of its shape.
  void require_spread(const TrainingValue& other, const TrainingValue& map,
                      const std::string& name) const;

  // read_training_windows.cpp: what reads its input by windows
  Axis read_checked_axis(const py::object& object, int kernel, int out) const;
  void read_phases(const py::object& object, TrainingStep& s, const TrainingValue& map) const;
  // Returns the number of all the layer's groups.
  int64_t read_part(const py::object& object, TrainingStep& s, int64_t ins, int64_t outs) const;
  void read_window(const py::object& object, Window& p) const;
  void read_depthwise(const py::object& object, TrainingStep& s) const;
  void read_pool(const py::object& object, TrainingStep& s) const;
  TrainingTaps read_taps(const py::object& object, int in, int out, const TrainingStep& s) const;

  // read_training_ends.cpp: losses and updates
  void read_loss(const py::object& object, TrainingStep& s) const;
  void read_update(const py::object& object, TrainingStep& s) const;

  TrainingStorage& storage_;
  TrainingProgram& program_;
  std::map<std::string, int32_t> values_, arrays_, statistics_;
};

}  // namespace facegen
