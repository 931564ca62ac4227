#include <pybind11/numpy.h>

#include <cstdint>

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
  const int copiers = checked_threads(threads);
  require_aligned(labels, "labels");
  if (to.size() != labels.size() || (labels.flags() & py::array::c_style) == 0) {
    throw py::value_error("labels must be contiguous, and as many as there are places");
  }
  const py::dtype type = labels.dtype();
  const bool is_signed = type.kind() == 'i';
  if ((!is_signed && type.kind() != 'u') || type.byteorder() == '>') {
    throw py::type_error("labels must be integers of this machine's byte order");
  }
  const auto by_sign = [&](auto with, auto without) {
    return is_signed ? narrow<decltype(with)>(labels, classes, to, copiers)
                     : narrow<decltype(without)>(labels, classes, to, copiers);
  };
  switch (type.itemsize()) {
    case 1: return by_sign(int8_t{}, uint8_t{});
    case 2: return by_sign(int16_t{}, uint16_t{});
    case 4: return by_sign(int32_t{}, uint32_t{});
    default: return by_sign(int64_t{}, uint64_t{});
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
