#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "arguments.h"
#include "bindings.h"
#include "cpu/dispatch.h"
#include "cpu/training/augment.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Doubles = py::array_t<double, py::array::c_style>;

const cpu::TrainingKernels& kernels_of(const std::optional<std::string>& isa) {
  return cpu::training_kernels(cpu::choose_kernels(isa.value_or("")));
}

void check_shape(const py::array& array, const char* name, std::initializer_list<int64_t> shape) {
  bool fits = array.ndim() == static_cast<py::ssize_t>(shape.size());
  std::string expected;
  py::ssize_t i = 0;
  for (const int64_t size : shape) {
    fits = fits && array.shape(i) == size;
    expected += (i++ == 0 ? "" : ", ") + std::to_string(size);
  }
  if (!fits) throw py::value_error(std::string(name) + " must have shape (" + expected + ")");
  require_aligned(array, name);
}

void check_pictures(const py::array& array, const char* name) {
  if (array.ndim() != 4 || (array.shape(3) != 1 && array.shape(3) != 3)) {
    throw py::value_error(std::string(name) + " must have shape (n, h, w, 1) or (n, h, w, 3)");
  }
  for (const int axis : {1, 2}) {
    if (array.shape(axis) < 1 || array.shape(axis) > cpu::kMostWarpedSide) {
      throw py::value_error(std::string(name) + " must have sides of 1 to " +
                            std::to_string(cpu::kMostWarpedSide) + " pixels");
    }
  }
  if (array.shape(1) * array.shape(2) * array.shape(3) > INT32_MAX) {
    throw py::value_error(std::string(name) + " must have fewer than 2^31 values each");
  }
  require_aligned(array, name);
}

cpu::WarpBatch batch_of(const Floats& pictures, const Floats& result, const Floats& matrices,
                        const Floats& lenses, bool cubic, bool mirrored) {
  check_pictures(pictures, "pictures");
  check_pictures(result, "the result");
  const int64_t n = pictures.shape(0);
  check_shape(result, "the result", {n, result.shape(1), result.shape(2), pictures.shape(3)});
  check_shape(matrices, "matrices", {n, 3, 3});
  check_shape(lenses, "lenses", {n});
  const auto size = [](const Floats& array, int axis) { return static_cast<int>(array.shape(axis)); };
  cpu::WarpBatch batch = {};
  batch.images = n;
  batch.warp = {size(pictures, 1), size(pictures, 2), size(result, 1), size(result, 2),
                size(pictures, 3), nullptr, 0.0f, cubic, mirrored};
  batch.matrices = matrices.data();
  batch.lenses = lenses.data();
  return batch;
}

void warp(const Floats& pictures, const Floats& matrices, const Floats& lenses, Floats& result,
          bool cubic, bool mirrored, int64_t threads, const std::optional<std::string>& isa) {
  const cpu::WarpBatch batch = batch_of(pictures, result, matrices, lenses, cubic, mirrored);
  const cpu::TrainingKernels& kernels = kernels_of(isa);
  const int some = checked_threads(threads);
  const float* const in = pictures.data();
  float* const out = result.mutable_data();
  without_gil([&] { cpu::warp(batch, kernels, in, some, out); });
}

void warp_adjoint(const Floats& gradient, const Floats& matrices, const Floats& lenses,
                  Floats& pictures, bool cubic, bool mirrored, int64_t threads,
                  const std::optional<std::string>& isa) {
  const cpu::WarpBatch batch = batch_of(pictures, gradient, matrices, lenses, cubic, mirrored);
  const cpu::TrainingKernels& kernels = kernels_of(isa);
  const int some = checked_threads(threads);
  const float* const out = gradient.data();
  float* const in = pictures.mutable_data();
  without_gil([&] { cpu::warp_adjoint(batch, kernels, out, some, in); });
}

int64_t coloured(const Floats& pictures) {
  check_pictures(pictures, "pictures");
  if (pictures.shape(3) != 3) throw py::value_error("pictures must have three colours");
  return pictures.shape(1) * pictures.shape(2);
}

void colour_sums(const Floats& pictures, Doubles& sums, int64_t threads,
                 const std::optional<std::string>& isa) {
  const int64_t pixels = coloured(pictures), n = pictures.shape(0);
  check_shape(sums, "sums", {n, 3});
  const cpu::TrainingKernels& kernels = kernels_of(isa);
  const int some = checked_threads(threads);
  const float* const in = pictures.data();
  double* const out = sums.mutable_data();
  without_gil([&] { cpu::colour_sums(n, pixels, kernels, in, some, out); });
}

void recolour(const Floats& pictures, const Floats& matrices, Floats& result, int64_t threads,
              const std::optional<std::string>& isa) {
  const int64_t pixels = coloured(pictures), n = pictures.shape(0);
  check_shape(matrices, "matrices", {n, 3, 4});
  check_shape(result, "the result", {n, pictures.shape(1), pictures.shape(2), 3});
  const cpu::TrainingKernels& kernels = kernels_of(isa);
  const int some = checked_threads(threads);
  const float* const in = pictures.data();
  const float* const m = matrices.data();
  float* const out = result.mutable_data();
  without_gil([&] { cpu::recolour(n, pixels, kernels, in, m, some, out); });
}

}  // namespace

void bind_augment(py::module_& m) {
  m.def("warp", &warp, py::arg("pictures").noconvert(), py::arg("matrices").noconvert(),
        py::arg("lenses").noconvert(), py::arg("result").noconvert(), py::arg("cubic"),
        py::arg("mirrored"), py::arg("threads") = 1, py::arg("isa") = py::none(),
        "Pictures (n, h, w, c) float32 resampled into `result`, by matrices (n, 3, 3) and lenses (n).");
  m.def("warp_adjoint", &warp_adjoint, py::arg("gradient").noconvert(),
        py::arg("matrices").noconvert(), py::arg("lenses").noconvert(),
        py::arg("pictures").noconvert(), py::arg("cubic"), py::arg("mirrored"),
        py::arg("threads") = 1, py::arg("isa") = py::none(),
        "The gradient in the pictures, overwritten, of that in warp's result.");
  m.def("colour_sums", &colour_sums, py::arg("pictures").noconvert(), py::arg("sums").noconvert(),
        py::arg("threads") = 1, py::arg("isa") = py::none(),
        "Sums (n, 3) float64 of each picture's colours.");
  m.def("recolour", &recolour, py::arg("pictures").noconvert(), py::arg("matrices").noconvert(),
        py::arg("result").noconvert(), py::arg("threads") = 1, py::arg("isa") = py::none(),
        "Matrices (n, 3, 4) times (r, g, b, 1) of every pixel; `result` may be `pictures`.");
}

}  // namespace facegen
