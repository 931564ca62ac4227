// Arrays of other libraries, by DLPack.
#include "dlpack.h"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.h"

namespace py = pybind11;

namespace facegen {
namespace {

// What a capsule holds, taken out of it: the producer's memory stays until this goes.
class Borrowed {
 public:
  explicit Borrowed(const py::capsule& capsule) {
    PyObject* object = capsule.ptr();
    if (PyCapsule_IsValid(object, "dltensor_versioned")) {
      auto* const held = static_cast<dlpack::ManagedVersioned*>(
          PyCapsule_GetPointer(object, "dltensor_versioned"));
      if (held->major != 1) {  // whose fields nobody knows
        throw py::value_error("DLPack " + std::to_string(held->major) +
                              " is not known; expected version 1");
      }
      check(held->tensor);
      PyCapsule_SetName(object, "used_dltensor_versioned");
      versioned_ = held;
    } else if (PyCapsule_IsValid(object, "dltensor")) {
      auto* const held =
          static_cast<dlpack::Managed*>(PyCapsule_GetPointer(object, "dltensor"));
      check(held->tensor);
      PyCapsule_SetName(object, "used_dltensor");
      managed_ = held;
    } else {
      throw py::value_error("expected a DLPack capsule that nobody has taken yet");
    }
  }
  ~Borrowed() {
    if (managed_ != nullptr && managed_->deleter != nullptr) managed_->deleter(managed_);
    if (versioned_ != nullptr && versioned_->deleter != nullptr) versioned_->deleter(versioned_);
  }
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  intptr_t pointer() const {
    return reinterpret_cast<intptr_t>(tensor().data) + static_cast<intptr_t>(tensor().byte_offset);
  }
  py::tuple device() const {
    return py::make_tuple(tensor().device.type, tensor().device.index);
  }
  bool read_only() const {
    return versioned_ != nullptr && (versioned_->flags & dlpack::kReadOnly) != 0;
  }
  py::tuple shape() const { return as_tuple(tensor().shape); }
  py::tuple strides() const {
    if (tensor().strides != nullptr) return as_tuple(tensor().strides);
    std::vector<int64_t> strides(static_cast<std::size_t>(tensor().rank), 1);
    for (int32_t d = tensor().rank - 2; d >= 0; --d) {
      const auto i = static_cast<std::size_t>(d);
      strides[i] = strides[i + 1] * tensor().shape[i + 1];
    }
    return as_tuple(strides.data());
  }
  std::string dtype() const {
    const auto [code, bits, lanes] = tensor().type;
    const char* kind = code == dlpack::kFloat    ? "float"
                       : code == dlpack::kBfloat ? "bfloat"
                       : code == dlpack::kUInt   ? "uint"
                       : code == dlpack::kInt    ? "int"
                                                 : "type";
    return kind + std::to_string(bits) + (lanes > 1 ? "x" + std::to_string(lanes) : "");
  }

 private:
  // Throws while the capsule still keeps the memory.
  static void check(const dlpack::Tensor& tensor) {
    if (tensor.rank < 0 || (tensor.rank > 0 && tensor.shape == nullptr)) {
      throw py::value_error("a DLPack capsule of " + std::to_string(tensor.rank) +
                            " dimensions without their sizes");
    }
  }
  const dlpack::Tensor& tensor() const {
    return versioned_ != nullptr ? versioned_->tensor : managed_->tensor;
  }
  py::tuple as_tuple(const int64_t* values) const {
    py::tuple result(tensor().rank);
    for (int32_t d = 0; d < tensor().rank; ++d) result[static_cast<std::size_t>(d)] = values[d];
    return result;
  }

  dlpack::Managed* managed_ = nullptr;
  dlpack::ManagedVersioned* versioned_ = nullptr;
};

}  // namespace

void bind_dlpack(py::module_& m) {
  py::class_<Borrowed>(m, "Borrowed", "What a DLPack capsule holds, for as long as this lives.")
      .def(py::init<const py::capsule&>(), py::arg("capsule"))
      .def_property_readonly("pointer", &Borrowed::pointer, "Address of the first element.")
      .def_property_readonly("device", &Borrowed::device, "(DLPack's type of device, index).")
      .def_property_readonly("dtype", &Borrowed::dtype, "Such as \"float32\".")
      .def_property_readonly("shape", &Borrowed::shape)
      .def_property_readonly("strides", &Borrowed::strides, "Elements.")
      .def_property_readonly("read_only", &Borrowed::read_only);
}

}  // namespace facegen
