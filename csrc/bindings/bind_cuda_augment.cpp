#include "bind_cuda_augment.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "arguments.h"
#include "cuda/runtime/forked.h"
#include "cuda/training/augment.h"
#include "device_array.h"
#include "read_sources.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

template <typename T>
using Given = std::optional<py::array_t<T, py::array::c_style>>;

// Its numbers, null where there is no array.
template <typename T>
const T* numbers_of(const Given<T>& array, const char* name, int64_t images, int64_t of_image) {
  if (!array) return nullptr;
  require_aligned(*array, name);
  if (array->ndim() < 1 || array->shape(0) != images || array->size() != images * of_image) {
    throw py::value_error(std::string(name) + " must have " + std::to_string(images) + " times " +
                          std::to_string(of_image) + " numbers");
  }
  return array->data();
}

// Changes pictures on a GPU. Calls of several threads wait for each other.
class CudaPictures {
 public:
  CudaPictures(int device, int64_t threads) {
    cuda::require_not_forked();
    const int copiers = checked_threads(threads);
    changes_.reset(without_gil([&] { return new cuda::PictureChanges(device, copiers); }));
  }

  void change(const py::object& pictures, const Given<uint8_t>& mirrored, const Given<float>& matrices,
              const Given<float>& lenses, bool cubic, bool folded, const Given<double>& colours,
              const Given<int32_t>& hidden, bool adjoint, DeviceArray& to,
              const Given<int32_t>& chosen, int64_t among) {
    cuda::PictureChange change = of_shape(to);
    const int64_t n = change.images;
    const cuda::Source source = read_pictures(pictures, chosen ? among : n, change.h, change.w, change.c);
    change.mirrored = numbers_of(mirrored, "mirrored", n, 1);
    change.matrices = numbers_of(matrices, "matrices", n, 9);
    change.lenses = numbers_of(lenses, "lenses", n, 1);
    change.cubic = cubic;
    change.folded = folded;
    change.colours = numbers_of(colours, "colours", n, 21);
    change.hidden = numbers_of(hidden, "hidden", n, 4);
    change.adjoint = adjoint;
    change.chosen = numbers_of(chosen, "chosen", n, 1);
    if (change.chosen != nullptr) {
      if (adjoint) throw py::value_error("chosen: expected none, of a gradient");
      const auto* const place = std::find_if(change.chosen, change.chosen + n, [&](int32_t which) {
        return which < 0 || which >= among;
      });
      if (place != change.chosen + n) {
        throw py::value_error("chosen: expected 0 and more, below " + std::to_string(among) + ", found " +
                              std::to_string(*place) + " at " + std::to_string(place - change.chosen));
      }
    }
    if ((change.matrices == nullptr) != (change.lenses == nullptr) ||
        (change.matrices != nullptr && change.mirrored != nullptr)) {
      throw py::value_error("expected matrices with lenses, or mirrored");
    }
    if (change.colours != nullptr && change.c != 3) throw py::value_error("pictures must have three colours");
    float* const out = reinterpret_cast<float*>(to.pointer());
    alone([&] {
      to.block().wait_unused(changes_->stream());
      changes_->change(change, source, out);
    });
    record(to);
  }

  void either_side(const py::object& pictures, const py::object& directions, double apart, DeviceArray& less,
                   DeviceArray& more) {
    const cuda::PictureChange shape = of_shape(less), other = of_shape(more);
    if (other.images != shape.images || other.h != shape.h || other.w != shape.w || other.c != shape.c) {
      throw py::value_error("expected two results of one shape");
    }
    const cuda::Source from = read_pictures(pictures, shape.images, shape.h, shape.w, shape.c);
    const cuda::Source along = read_pictures(directions, shape.images, shape.h, shape.w, shape.c);
    float* const low = reinterpret_cast<float*>(less.pointer());
    float* const high = reinterpret_cast<float*>(more.pointer());
    alone([&] {
      for (const DeviceArray* array : {&less, &more}) array->block().wait_unused(changes_->stream());
      changes_->either_side(from, along, int64_t{shape.h} * shape.w * shape.c, apart, low, high);
    });
    record(less);
    record(more);
  }

 private:
  // A forked child leaves all that its parent has on a GPU alone.
  struct Delete {
    void operator()(cuda::PictureChanges* changes) const {
      if (!cuda::is_forked()) delete changes;
    }
  };

  cuda::PictureChange of_shape(const DeviceArray& to) const {
    const std::vector<int64_t>& shape = to.shape();
    if (to.dtype() != "float32" || to.device() != changes_->device() || shape.size() != 4 ||
        (shape[3] != 1 && shape[3] != 3)) {
      throw py::value_error("expected float32 pictures (n, h, w, 1) or (n, h, w, 3) on this GPU");
    }
    for (const std::size_t axis : {1, 2}) {
      if (shape[axis] < 1 || shape[axis] > cuda::kMostPictureSide) {
        throw py::value_error("pictures must have sides of 1 to " + std::to_string(cuda::kMostPictureSide) +
                              " pixels");
      }
    }
    if (shape[1] * shape[2] * shape[3] > INT32_MAX) {
      throw py::value_error("pictures must have fewer than 2^31 values each");
    }
    cuda::PictureChange change = {};
    change.images = shape[0];
    change.h = static_cast<int32_t>(shape[1]);
    change.w = static_cast<int32_t>(shape[2]);
    change.c = static_cast<int32_t>(shape[3]);
    return change;
  }

  template <typename Body>
  void alone(const Body& body) {
    cuda::require_not_forked();
    without_gil([&] {
      const std::lock_guard lock(mutex_);
      try {
        body();
      } catch (...) {
        changes_->settle();  // what was to be written is given to others
        throw;
      }
    });
  }

  void record(DeviceArray& to) const {
    to.record(reinterpret_cast<intptr_t>(changes_->stream()), py::none());
  }

  std::unique_ptr<cuda::PictureChanges, Delete> changes_;
  std::mutex mutex_;
};

}  // namespace

void bind_cuda_augment(py::module_& m) {
  py::class_<CudaPictures>(m, "CudaPictures", "Changes pictures on a GPU.")
      .def(py::init<int, int64_t>(), py::arg("device"), py::arg("threads"))
      .def("change", &CudaPictures::change, py::arg("pictures"), py::arg("mirrored").noconvert(),
           py::arg("matrices").noconvert(), py::arg("lenses").noconvert(), py::arg("cubic"), py::arg("folded"),
           py::arg("colours").noconvert(), py::arg("hidden").noconvert(), py::arg("adjoint"), py::arg("to"),
           py::arg("chosen").noconvert(), py::arg("among"),
           "Pictures, an array as CudaTraining takes it, into a DeviceArray (n, h, w, c). None leaves a part out: "
           "mirrored (n,) uint8; matrices (n, 3, 3) and lenses (n,) float32 of warp, cubic or not, with what lies "
           "outside folded in or black; colours (n, 21) float64, A, C and b of y = A x + C mean + b; hidden (n, 4) "
           "int32, rows and columns from and to. With adjoint a gradient goes the other way, by colours of that "
           "way. chosen (n,) int32: picture i is made of number chosen[i] of `among` given ones. Releases the GIL.")
      .def("either_side", &CudaPictures::either_side, py::arg("pictures"), py::arg("directions"), py::arg("apart"),
           py::arg("less"), py::arg("more"),
           "Each picture moved against its direction and along it, into DeviceArrays (n, h, w, c); apart is the "
           "Euclidean length of their difference. Releases the GIL.");
}

}  // namespace facegen
