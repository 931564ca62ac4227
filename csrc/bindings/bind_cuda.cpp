// The module facegen._cuda: importing it touches no driver.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arguments.h"
#include "batch_arrays.h"
#include "bind_cuda_augment.h"
#include "bind_cuda_training.h"
#include "cuda/executable.h"
#include "cuda/runtime/device.h"
#include "cuda/runtime/error.h"
#include "cuda/runtime/forked.h"
#include "cuda/runtime/pinned_pool.h"
#include "device_array.h"
#include "read_program.h"
#include "read_target.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

// What Python gives for a CallerArray in device memory: pointer, element, (height, width, channels), and
// the strides of (n, height, width, channels) in elements.
using CallerTuple = std::tuple<intptr_t, std::string, std::array<int32_t, 3>, std::array<int64_t, 4>>;

// A Program on one GPU.
class CudaExecutable {
 public:
  CudaExecutable(const py::object& program, int device, const std::string& precision,
                 const std::string& kernels, int64_t max_images, int64_t memory_limit,
                 bool poison) {
    const cuda::Target asked = read_target(0, 0, precision, kernels);
    if (max_images < 0 || memory_limit < 0) {
      throw py::value_error("max_images and memory_limit must be at least 0");
    }
    // All constants are copied to the GPU: the arrays need not outlive this constructor.
    ProgramStorage storage(program);
    arrays_.emplace(storage.program());
    const cuda::Options options = {device,       asked.precision, kernels, max_images,
                                   memory_limit, poison};
    executable_.reset(without_gil(
        [&] { return new cuda::Executable(storage.program(), options); }));
  }

  void run(const std::vector<py::array>& inputs, const std::vector<py::array>& outputs,
           cuda::ChunkQueue& queue, int64_t threads) const {
    const BatchArrays::Items batch = arrays_->check_items(inputs, outputs);
    if (batch.images != queue.images()) {
      throw py::value_error("the queue hands out " + std::to_string(queue.images()) +
                            " images, the arrays hold " + std::to_string(batch.images));
    }
    const int some = checked_threads(threads);
    cuda::require_not_forked();
    const std::vector<cuda::CallerArray> in = on_host(batch.inputs), out = on_host(batch.outputs);
    without_gil([&] { executable_->run(queue, in, out, some); });
  }

  // A call that may come again and again. It must not outlive its owner.
  struct Call {
    const CudaExecutable& owner;
    std::vector<cuda::CallerArray> inputs, outputs;
    int64_t images;
    void enqueue(intptr_t stream) const {
      cuda::require_not_forked();
      without_gil([&] {
        owner.executable_->enqueue(inputs, outputs, images, reinterpret_cast<cudaStream_t>(stream));
      });
    }
  };
  Call prepare(const std::vector<CallerTuple>& inputs, const std::vector<CallerTuple>& outputs,
               int64_t images) const {
    if (images < 0) throw py::value_error("images must be at least 0");
    return {*this, on_device(inputs, arrays_->input_floats(), "input"),
            on_device(outputs, arrays_->output_floats(), "output"), images};
  }

  std::vector<float> time_resident(int64_t images, int repeats, bool graph) const {
    if (images < 1 || repeats < 1) throw py::value_error("images and repeats must be at least 1");
    cuda::require_not_forked();
    return without_gil([&] { return executable_->time_resident(images, repeats, graph); });
  }

  py::list time_steps(int64_t images, int repeats) const {
    if (images < 1 || repeats < 1) throw py::value_error("images and repeats must be at least 1");
    cuda::require_not_forked();
    const std::vector<float> times =
        without_gil([&] { return executable_->time_steps(images, repeats); });
    const std::vector<std::string> kernels = executable_->step_kernels();
    py::list result;
    for (std::size_t i = 0; i < times.size(); ++i) {
      result.append(py::make_tuple(kernels[i], times[i]));
    }
    return result;
  }

  int64_t max_images() const { return executable_->max_images(); }
  std::string name() const { return executable_->device().name; }
  std::string architecture() const {
    const cuda::DeviceInfo& info = executable_->device();
    return "sm_" + std::to_string(info.major) + std::to_string(info.minor);
  }

 private:
  // uint8 on the host are pixels.
  static std::vector<cuda::CallerArray> on_host(const std::vector<BatchArrays::Item>& items) {
    std::vector<cuda::CallerArray> arrays;
    for (const auto& [data, is_uint8, values] : items) {
      arrays.push_back({data, is_uint8 ? cuda::Element::kPixels : cuda::Element::kFloat32, 1, 1,
                        static_cast<int32_t>(values), {values, values, values, 1}});
    }
    return arrays;
  }

  static std::vector<cuda::CallerArray> on_device(const std::vector<CallerTuple>& tuples,
                                                  const std::vector<int64_t>& floats,
                                                  const std::string& what) {
    if (tuples.size() != floats.size()) {
      throw py::value_error(what + "s: expected " + std::to_string(floats.size()) +
                            " arrays, found " + std::to_string(tuples.size()));
    }
    std::vector<cuda::CallerArray> arrays;
    for (std::size_t i = 0; i < tuples.size(); ++i) {
      const auto& [pointer, element, shape, strides] = tuples[i];
      const cuda::CallerArray array = {reinterpret_cast<void*>(pointer), read_element(element),
                                       shape[0], shape[1], shape[2],
                                       {strides[0], strides[1], strides[2], strides[3]}};
      if (array.image_values() != floats[i]) {
        throw py::value_error(what + " " + std::to_string(i) + " must have images of " +
                              std::to_string(floats[i]) + " values, found " +
                              std::to_string(array.image_values()));
      }
      arrays.push_back(array);
    }
    return arrays;
  }

  static cuda::Element read_element(const std::string& name) {
    if (name == "float32") return cuda::Element::kFloat32;
    if (name == "float16") return cuda::Element::kFloat16;
    if (name == "bfloat16") return cuda::Element::kBfloat16;
    if (name == "uint8") return cuda::Element::kUint8;
    if (name == "pixels") return cuda::Element::kPixels;
    throw py::value_error("elements are float32, float16, bfloat16, uint8 or pixels, not " + name);
  }

  struct Delete {
    void operator()(cuda::Executable* executable) const {
      if (!cuda::is_forked()) delete executable;  // else all that it holds is the parent's
    }
  };

  std::optional<BatchArrays> arrays_;
  std::unique_ptr<cuda::Executable, Delete> executable_;
};

py::list devices() {
  py::list result;
  for (const cuda::DeviceInfo& info : without_gil(cuda::devices)) {
    py::dict entry;
    entry["index"] = info.index;
    entry["name"] = info.name;
    entry["capability"] = py::make_tuple(info.major, info.minor);
    entry["multiprocessors"] = info.multiprocessors;
    entry["memory_bytes"] = info.memory_bytes;
    result.append(entry);
  }
  return result;
}

// Most pinned memory in arrays that Python holds. Pinned memory is taken from everybody else.
constexpr int64_t kPinnedBytes = int64_t{2} << 30;

// Lives as long as the process: arrays may outlive the module.
cuda::PinnedPool& pinned_pool() {
  static auto* pool = new cuda::PinnedPool(kPinnedBytes);
  return *pool;
}

py::object empty_pinned(const std::vector<py::ssize_t>& shape, int device, const py::dtype& dtype) {
  const int64_t bytes = checked_bytes(shape, dtype.itemsize());
  cuda::require_not_forked();
  auto block = std::make_unique<cuda::PinnedPool::Block>(without_gil([&] {
    const cuda::DeviceScope scope(device);  // pinning would wake the current one otherwise
    return pinned_pool().take(bytes);
  }));
  if (block->get() == nullptr) return py::none();
  void* memory = block->get();
  const py::capsule owner(block.release(), [](void* p) {
    if (cuda::is_forked()) return;  // it is the parent's
    std::unique_ptr<cuda::PinnedPool::Block> returned(static_cast<cuda::PinnedPool::Block*>(p));
    pinned_pool().give_back(std::move(*returned));
  });
  return py::array(dtype, shape, memory, owner);
}

}  // namespace
}  // namespace facegen

// As in _native, what threads share is behind locks of its own.
PYBIND11_MODULE(_cuda, m, py::mod_gil_not_used()) {
  using facegen::CudaExecutable;
  using facegen::cuda::ChunkQueue;
  m.doc() = "facegen's CUDA engine.";
  py::register_local_exception_translator([](std::exception_ptr p) {
    try {
      if (p) std::rethrow_exception(p);
    } catch (const facegen::cuda::Error& error) {
      const bool absent = error.code == cudaErrorNoDevice || error.code == cudaErrorInvalidDevice ||
                          error.code == cudaErrorInsufficientDriver;
      const char* name = absent ? "DeviceError" : "DeviceFailure";
      const py::object type = py::module_::import("facegen.errors").attr(name);
      py::set_error(type, error.what());
    }
  });
  py::class_<ChunkQueue>(m, "ChunkQueue", "The images of a batch, handed out in chunks.")
      .def(py::init([](int64_t images, int64_t gpus, int64_t smallest) {
             if (gpus < 1 || smallest < 1) throw py::value_error("expected at least 1 of each");
             return std::make_unique<ChunkQueue>(images, gpus, smallest);
           }),
           py::arg("images"), py::arg("gpus"), py::arg("smallest"))
      .def("stop", &ChunkQueue::stop, "Hand out nothing more.");
  py::class_<CudaExecutable>(m, "CudaExecutable", "A lowered program on one GPU.")
      .def(py::init<const py::object&, int, const std::string&, const std::string&, int64_t,
                    int64_t, bool>(),
           py::arg("program"), py::arg("device") = 0, py::arg("precision") = "float32",
           py::arg("kernels") = "auto", py::arg("max_images") = 0, py::arg("memory_limit") = 0,
           py::arg("poison") = false)
      .def("run", &CudaExecutable::run, py::arg("inputs"), py::arg("outputs"), py::arg("queue"),
           py::arg("threads") = 1,
           "Runs chunks of a batch until the queue is empty. Releases the GIL.")
      .def("prepare", &CudaExecutable::prepare, py::arg("inputs"), py::arg("outputs"),
           py::arg("images"), py::keep_alive<0, 1>(),
           "A call with a batch of arrays on this GPU, each (pointer, element, (h, w, c), strides).")
      .def("time_resident", &CudaExecutable::time_resident, py::arg("images"), py::arg("repeats"),
           py::arg("graph") = false,
           "Milliseconds of each run on images that stay on the GPU.")
      .def("time_steps", &CudaExecutable::time_steps, py::arg("images"), py::arg("repeats"),
           "[(kernel, milliseconds)] of every step, each timed alone on one chunk.")
      .def_property_readonly("max_images", &CudaExecutable::max_images, "Of one chunk.")
      .def_property_readonly("name", &CudaExecutable::name)
      .def_property_readonly("architecture", &CudaExecutable::architecture);
  py::class_<CudaExecutable::Call>(m, "Call", "A call with arrays on a GPU.")
      .def("enqueue", &CudaExecutable::Call::enqueue, py::arg("stream"),
           "Enqueues the work on a stream; waits for nothing. Releases the GIL.");
  facegen::bind_cuda_training(m);
  facegen::bind_device_array(m);
  facegen::bind_cuda_augment(m);
  m.def(
      "device_of",
      [](intptr_t pointer) {
        cudaPointerAttributes attributes;
        FACEGEN_CUDA_CHECK(
            cudaPointerGetAttributes(&attributes, reinterpret_cast<void*>(pointer)));
        if (attributes.type == cudaMemoryTypeHost || attributes.type == cudaMemoryTypeUnregistered) {
          throw py::value_error("the address is not in a GPU's memory");
        }
        return attributes.device;
      },
      py::arg("pointer"), "Index of the GPU in whose memory an address is.");
  m.def(
      "synchronize",
      [](int device, intptr_t stream) {
        facegen::cuda::require_not_forked();
        facegen::without_gil([&] {
          const facegen::cuda::DeviceScope scope(device);
          FACEGEN_CUDA_CHECK(cudaStreamSynchronize(reinterpret_cast<cudaStream_t>(stream)));
        });
      },
      py::arg("device"), py::arg("stream"), "Waits until all work on a stream is done.");
  m.def("devices", &facegen::devices, "Every visible GPU. Raises DeviceError without a driver.");
  m.def("empty_pinned", &facegen::empty_pinned, py::arg("shape"), py::arg("device"),
        py::arg("dtype"),
        "An uninitialised array that GPUs copy to without staging, from a pool; None where\n"
        "too much is pinned already.");
  m.def("require_not_forked", &facegen::cuda::require_not_forked,
        "Raises DeviceFailure in a child of a process that had used CUDA when it was forked.");
  m.def(
      "open_context",
      [](std::optional<int> device) {
        facegen::without_gil([&] { facegen::cuda::open_context(device); });
      },
      py::arg("device"),
      "Begins to use a GPU, the first usable one if None, before anything is to be done on it: takes\n"
      "tenths of a second, without the GIL. Whoever uses it is told what is wrong with it, not this.");
  m.def(
      "why_unusable", [] { return facegen::without_gil(facegen::cuda::why_unusable); },
      "Empty where a GPU is usable, else the reason in one line.");
}
