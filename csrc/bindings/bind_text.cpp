#include <pybind11/numpy.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include "arguments.h"
#include "bindings.h"
#include "text/format_fixed.h"
#include "text/parse_numbers.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

using Floats = py::array_t<float, py::array::c_style>;

py::bytes format_rows_bytes(const Floats& values, int64_t threads) {
  const int some = checked_threads(threads);
  require_aligned(values, "values");
  if (values.ndim() != 2) {
    throw py::value_error("values must be 2D (rows, cols), not " + std::to_string(values.ndim()) +
                          "D");
  }
  const int64_t rows = values.shape(0), cols = values.shape(1);
  const float* data = values.data();
  const std::unique_ptr<int64_t[]> offsets(new int64_t[static_cast<size_t>(rows) + 1]);
  without_gil([&] { measure_rows(data, rows, cols, some, offsets.get()); });
  auto text = py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, offsets[rows]));
  if (!text) throw py::error_already_set();
  char* out = PyBytes_AS_STRING(text.ptr());
  // Nobody else has seen `text` yet.
  without_gil([&] { format_rows(data, rows, cols, some, offsets.get(), out); });
  return text;
}

// The parser, with a flag against two threads feeding it at once.
class PyNumberParser {
 public:
  PyNumberParser(bool finite, int64_t line, int64_t column) : parser_(finite, line, column) {}

  Floats feed(const py::bytes& block, int64_t threads) {
    const int some = checked_threads(threads);
    const char* text = PyBytes_AS_STRING(block.ptr());
    const int64_t bytes = PyBytes_GET_SIZE(block.ptr());
    return run([&] { parser_.feed(text, bytes, some); });
  }

  Floats finish() {
    return run([&] { parser_.finish(); });
  }

  int64_t line() const { return parser_.line(); }
  int64_t column() const { return parser_.column(); }

 private:
  struct Busy {
    explicit Busy(std::atomic<bool>& flag) : flag_(flag) {
      if (flag_.exchange(true)) {
        throw std::runtime_error("this NumberParser is in use by another thread");
      }
    }
    ~Busy() { flag_ = false; }
    std::atomic<bool>& flag_;
  };

  template <typename Action>
  Floats run(Action&& action) {
    const Busy busy(busy_);
    without_gil(action);
    Floats values(parser_.count());
    parser_.copy_to(values.mutable_data());
    return values;
  }

  NumberParser parser_;
  std::atomic<bool> busy_ = false;
};

}  // namespace

void bind_text(py::module_& m) {
  m.def("format_rows", &format_rows_bytes, py::arg("values").noconvert(), py::arg("threads") = 1,
        R"(Text of a (rows, cols) float32 array: each value as C's ``%.4f`` and a space, each row a line.

NaN and infinity are written as glibc does: ``nan``, ``-nan``, ``inf``, ``-inf``.)");

  py::class_<PyNumberParser>(m, "NumberParser",
                             R"(White-space-separated decimal numbers to float32, block by block.

Numbers are rounded as C's ``strtof`` does, and may be cut by the end of a block. A word that is no
number raises ValueError with its line, column (both from 1, columns in bytes) and text; with
``finite``, so does one that is not finite. ``line`` and ``column`` say where the text begins.)")
      .def(py::init<bool, int64_t, int64_t>(), py::arg("finite") = false, py::arg("line") = 1,
           py::arg("column") = 1)
      .def("feed", &PyNumberParser::feed, py::arg("block"), py::arg("threads") = 1,
           "The numbers that end inside this block of bytes, as a float32 array.")
      .def("finish", &PyNumberParser::finish,
           "The text has ended: the number that stood at its very end, if any.")
      .def_property_readonly("line", &PyNumberParser::line, "Line of the next byte.")
      .def_property_readonly("column", &PyNumberParser::column, "Column of the next byte.");
}

}  // namespace facegen
