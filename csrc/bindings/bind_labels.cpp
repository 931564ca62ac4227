#include <pybind11/numpy.h>

#include <cstdint>
#include <string>

#include "arguments.h"
#include "bindings.h"
#include "labels.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

using Narrow = py::array_t<int32_t, py::array::c_style>;

template <typename Integer>
bool narrow(const py::array& labels, int32_t classes, Narrow& to, int threads) {
  const auto* const from = static_cast<const Integer*>(labels.data());
  int32_t* const out = to.mutable_data();
  const int64_t count = labels.size();
  return without_gil([&] { return narrow_labels(from, count, classes, out, threads); });
}

bool narrow_any(const py::array& labels, int32_t classes, Narrow& to, int64_t threads) {
  const int some = checked_threads(threads);
  require_aligned(labels, "labels");
  require_aligned(to, "to");
  if ((labels.flags() & py::array::c_style) == 0) throw py::value_error("labels must be C-contiguous");
  if (to.size() != labels.size()) {
    throw py::value_error("to must have " + std::to_string(labels.size()) + " places, found " +
                          std::to_string(to.size()));
  }
  const py::dtype type = labels.dtype();
  const bool is_signed = type.kind() == 'i';
  if ((!is_signed && type.kind() != 'u') || type.byteorder() == '>') {
    throw py::type_error("labels must be integers of this machine's byte order");
  }
  const auto as = [&](auto of_signed, auto of_unsigned) {
    return is_signed ? narrow<decltype(of_signed)>(labels, classes, to, some)
                     : narrow<decltype(of_unsigned)>(labels, classes, to, some);
  };
  switch (type.itemsize()) {
    case 1: return as(int8_t{}, uint8_t{});
    case 2: return as(int16_t{}, uint16_t{});
    case 4: return as(int32_t{}, uint32_t{});
    default: return as(int64_t{}, uint64_t{});
  }
}

}  // namespace

void bind_labels(py::module_& m) {
  m.def("narrow_labels", &narrow_any, py::arg("labels"), py::arg("classes"), py::arg("to").noconvert(),
        py::arg("threads"),
        "Class numbers of any integers as int32, those below 0 as -1; whether all are below `classes`. Releases the "
        "GIL.");
}

}  // namespace facegen
