#include "device_array.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <utility>

#include "arguments.h"
#include "cuda/runtime/device.h"
#include "cuda/runtime/forked.h"
#include "dlpack.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

dlpack::DataType type_of(const std::string& dtype) {
  if (dtype == "float32") return {dlpack::kFloat, 32, 1};
  if (dtype == "float16") return {dlpack::kFloat, 16, 1};
  if (dtype == "bfloat16") return {dlpack::kBfloat, 16, 1};
  if (dtype == "uint8") return {dlpack::kUInt, 8, 1};
  throw py::value_error("dtype must be float32, float16, bfloat16 or uint8, not " + dtype);
}

// What a capsule points to, until whoever took it calls the deleter.
struct Lent {
  std::vector<int64_t> shape;
  std::shared_ptr<DeviceArray::Memory> memory;
  dlpack::Managed managed = {};
};

}  // namespace

DeviceArray::Memory::~Memory() {
  const auto drop = [this] {
    if (is_lent) {
      block.reset();
      return;
    }
    try {
      if (made_of && !made_of.is_none()) block->wait_written();
    } catch (const cuda::Error&) {
      block.reset();  // after a fault on the device nothing is done any more
    }
    cuda::give_back(std::move(block));
  };
  // What waits for the device, freeing among it, does not keep other threads from Python.
  if (PyGILState_Check()) {
    without_gil(drop);
  } else {
    drop();
  }
  const py::gil_scoped_acquire gil;  // whoever took a capsule may call its deleter from any thread
  made_of = {};
}

DeviceArray::DeviceArray(std::vector<int64_t> shape, const std::string& dtype, int device, bool ordered)
    : shape_(std::move(shape)),
      dtype_(dtype),
      device_(device),
      bytes_(checked_bytes(shape_, type_of(dtype).bits / 8)) {
  cuda::require_not_forked();
  memory_ = std::make_shared<Memory>();
  without_gil([&] { memory_->block = cuda::take_block(device, bytes_, !ordered); });
}

std::vector<int64_t> DeviceArray::strides() const {
  std::vector<int64_t> strides(shape_.size(), 1);
  for (std::size_t d = shape_.size(); d-- > 1;) strides[d - 1] = strides[d] * shape_[d];
  return strides;
}

void DeviceArray::record(intptr_t stream, py::object made_of) {
  memory_->made_of = std::move(made_of);
  const cuda::DeviceScope scope(device_);
  block().written(reinterpret_cast<cudaStream_t>(stream));
}

py::capsule DeviceArray::to_capsule(const py::object& stream) const {
  cuda::require_not_forked();
  // 1 is the legacy default stream and 2 the one of each thread, for CUDA as for DLPack.
  const intptr_t number = stream.is_none() ? 1 : stream.cast<intptr_t>();
  if (number == 0 || number < -1) {
    throw py::value_error("stream must be None, -1, or 1 and more, as DLPack has them, not " +
                          std::to_string(number));
  }
  if (number != -1) {
    const cuda::DeviceScope scope(device_);
    block().wait_written(reinterpret_cast<cudaStream_t>(number));
  }
  memory_->is_lent = true;
  auto lent = std::make_unique<Lent>();
  lent->shape = shape_;
  lent->memory = memory_;
  lent->managed.tensor = {block().get(), {dlpack::kCuda, device_},
                          static_cast<int32_t>(shape_.size()), type_of(dtype_),
                          lent->shape.data(), nullptr, 0};
  lent->managed.context = lent.get();
  lent->managed.deleter = [](dlpack::Managed* managed) {
    auto* owner = static_cast<Lent*>(managed->context);
    if (cuda::is_forked()) return;  // it is the parent's
    delete owner;
  };
  py::capsule capsule(&lent->managed, "dltensor", [](PyObject* object) {
    if (!PyCapsule_IsValid(object, "dltensor")) return;  // somebody has taken it
    auto* managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(object, "dltensor"));
    managed->deleter(managed);
  });
  lent.release();
  return capsule;
}

py::array DeviceArray::to_numpy() const {
  if (dtype_ == "bfloat16") throw py::type_error("NumPy has no bfloat16; ask for float32");
  cuda::require_not_forked();
  py::array result(py::dtype(dtype_), shape_);
  void* to = result.mutable_data();
  without_gil([&] {
    const cuda::DeviceScope scope(device_);
    block().wait_written();
    if (bytes_ == 0) return;
    FACEGEN_CUDA_CHECK(
        cudaMemcpy(to, block().get(), static_cast<std::size_t>(bytes_), cudaMemcpyDeviceToHost));
  });
  return result;
}

void bind_device_array(py::module_& m) {
  // A forked child leaves the parent's memory alone.
  struct Delete {
    void operator()(DeviceArray* array) const {
      if (!cuda::is_forked()) delete array;
    }
  };
  py::class_<DeviceArray, std::unique_ptr<DeviceArray, Delete>>(
      m, "DeviceArray", "Results in a GPU's memory, for whoever speaks DLPack.")
      .def(py::init([](std::vector<int64_t> shape, const std::string& dtype, int device, bool ordered) {
             return std::unique_ptr<DeviceArray, Delete>(
                 new DeviceArray(std::move(shape), dtype, device, ordered));
           }),
           py::arg("shape"), py::arg("dtype"), py::arg("device"), py::arg("ordered") = false,
           "With `ordered` only calls that are given the array may write it: they wait, on the GPU, for those who "
           "had its memory before. Otherwise this one may wait.")
      .def_property_readonly("pointer", &DeviceArray::pointer, "Address of the first element.")
      .def_property_readonly("shape",
                             [](const DeviceArray& array) { return py::tuple(py::cast(array.shape())); })
      .def_property_readonly("strides",
                             [](const DeviceArray& array) { return py::tuple(py::cast(array.strides())); })
      .def_property_readonly("dtype", &DeviceArray::dtype)
      .def_property_readonly("device", &DeviceArray::device, "Index of the GPU.")
      .def_property_readonly("is_lent", &DeviceArray::is_lent,
                             "Whether others have had it by DLPack, who may have changed it.")
      .def("record", &DeviceArray::record, py::arg("stream"), py::arg("made_of"),
           "The values are there behind what is on this stream now, which reads `made_of`.")
      .def(
          "__dlpack__",
          [](const DeviceArray& array, const py::object& stream, const py::kwargs&) {
            return array.to_capsule(stream);
          },
          py::kw_only(), py::arg("stream") = py::none())
      .def("__dlpack_device__",
           [](const DeviceArray& array) { return py::make_tuple(int{dlpack::kCuda}, array.device()); })
      .def("numpy", &DeviceArray::to_numpy, "A copy on the host; waits for the values.")
      .def(
          "__array__",
          [](const DeviceArray& array, const py::object& dtype, const py::kwargs&) -> py::object {
            const py::object copy = array.to_numpy();
            return dtype.is_none() ? copy : py::object(copy.attr("astype")(dtype));
          },
          py::arg("dtype") = py::none());
}

}  // namespace facegen
