// Reads fields of Python's objects, and refuses those that do not fit.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>

#include "program.h"

namespace facegen {

class FieldReader {
 protected:
  // `subject`: what the fields are of, which errors begin with.
  explicit FieldReader(std::string subject) : subject_(std::move(subject)) {}

  std::string error(const std::string& what) const { return subject_ + ": " + what; }

  void require(bool fits, const std::string& what) const {
    if (!fits) throw pybind11::value_error(error(what));
  }

  template <typename T>
  T field(const pybind11::object& object, const char* name) const {
    const pybind11::object value = object.attr(name);
    try {
      return value.cast<T>();
    } catch (const pybind11::cast_error&) {
      throw pybind11::value_error(
          error(name + (" cannot be " + pybind11::repr(value).cast<std::string>())));
    }
  }

  Axis read_axis(const pybind11::object& axis) const {
    return {field<int32_t>(axis, "out"),        field<int32_t>(axis, "step"),
            field<int32_t>(axis, "dir"),        field<int32_t>(axis, "base"),
            field<int32_t>(axis, "taps"),       field<int32_t>(axis, "first_tap"),
            field<int32_t>(axis, "tap_step"),   field<int32_t>(axis, "out_origin"),
            field<int32_t>(axis, "out_step")};
  }

 private:
  std::string subject_;
};

}  // namespace facegen
