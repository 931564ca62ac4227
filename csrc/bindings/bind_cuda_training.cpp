#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "arguments.h"
#include "bind_cuda_training.h"
#include "cuda/runtime/error.h"
#include "cuda/runtime/forked.h"
#include "cuda/training/executable.h"
#include "read_training.h"
#include "read_training_batch.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

// A training program on a GPU, with the arrays that it changes. Calls of several threads wait for each
// other.
class CudaTraining {
 public:
  CudaTraining(const py::object& program, const py::dict& arrays, int device, const std::string& kernels)
      : storage_(program, arrays) {
    const std::map<std::string, cuda::ProductKernels> known = {{"auto", cuda::ProductKernels::kAuto},
                                                               {"mma", cuda::ProductKernels::kGeneric},
                                                               {"wgmma", cuda::ProductKernels::kHopper}};
    const auto found = known.find(kernels);
    if (found == known.end()) throw py::value_error("kernels must be auto, mma or wgmma, not " + kernels);
    executable_.reset(
        in_words([&] { return new cuda::TrainingExecutable(storage_.program, device, found->second); }));
  }

  double step(const std::vector<py::array>& inputs, const std::vector<py::array>& targets,
              py::array& losses, const std::vector<double>& rates, uint64_t seed, uint64_t number,
              bool update, bool predicted) {
    TrainingBatch batch = read_training_batch(storage_.program, inputs, targets, losses, rates);
    batch.seed = seed;
    batch.step = number;
    batch.update = update;
    batch.predicted = predicted;
    batch.part_images = batch.images;
    return or_not_finite([&](std::string& not_finite) {
      return alone([&] {
        try {
          return executable_->run(batch);
        } catch (const std::domain_error& error) {
          not_finite = error.what();
          return 0.0;
        }
      });
    });
  }

  std::vector<py::array_t<float>> predict(const std::vector<py::array>& inputs, uint64_t seed,
                                          uint64_t number) {
    TrainingBatch batch = read_training_inputs(storage_.program, inputs);
    batch.seed = seed;
    batch.step = number;
    std::vector<float*> memory;
    std::vector<py::array_t<float>> outputs = empty_predictions(storage_.program, batch.images, memory);
    alone([&] {
      executable_->predict(batch, memory);
      return 0;
    });
    return outputs;
  }

  py::array_t<float> gradient(const std::string& name) const {
    const auto& arrays = storage_.program.arrays;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      if (arrays[i].name != name || !executable_->has_gradient(i)) continue;
      const py::array& like = storage_.kept[i];
      py::array_t<float> copy(std::vector<py::ssize_t>(like.shape(), like.shape() + like.ndim()));
      float* const data = copy.mutable_data();
      alone([&] {
        executable_->copy_gradient(i, data);
        return 0;
      });
      return copy;
    }
    throw py::key_error(name);
  }

  // (images, height, width, channels) of the last run; KeyError where there is none.
  py::array_t<float> kept(std::size_t number) const {
    const TrainingProgram& program = storage_.program;
    if (number >= program.kept.size()) throw py::key_error(std::to_string(number));
    const auto& v = program.values[std::size_t(program.kept[number])];
    const int64_t images = alone([&] { return executable_->last_images(); });
    py::array_t<float> copy({images, int64_t{v.h}, int64_t{v.w}, int64_t{v.c}});
    float* const data = copy.mutable_data();
    const bool same = alone([&] {
      if (executable_->last_images() != images) return false;
      executable_->copy_kept(number, data);
      return true;
    });
    if (!same) throw std::runtime_error("another thread has begun a step meanwhile");
    return copy;
  }

  void download() {
    alone([&] {
      executable_->download();
      return 0;
    });
  }
  void upload() {
    alone([&] {
      executable_->upload();
      return 0;
    });
  }
  std::vector<double> time_steps() {
    return alone([&] { return executable_->time_steps(); });
  }
  std::vector<std::string> kernels() const {
    return alone([&] { return executable_->kernel_names(); });
  }
  int64_t memory_bytes() const {
    return alone([&] { return executable_->memory_bytes(); });
  }

 private:
  // What body() gives, computed while no other thread is here.
  template <typename Body>
  auto alone(Body&& body) const -> decltype(body()) {
    return in_words([&] {
      const std::lock_guard lock(mutex_);
      return body();
    });
  }

  // What body() gives, without the GIL; MemoryError where the GPU has too little.
  template <typename Body>
  static auto in_words(Body&& body) -> decltype(body()) {
    cuda::require_not_forked();
    std::string no_memory;
    try {
      return without_gil(body);
    } catch (const cuda::Error& error) {
      if (error.code != cudaErrorMemoryAllocation) throw;
      no_memory = std::string("the GPU has too little memory: ") + error.what();
    }
    PyErr_SetString(PyExc_MemoryError, no_memory.c_str());
    throw py::error_already_set();
  }

  struct Delete {
    void operator()(cuda::TrainingExecutable* executable) const {
      if (!cuda::is_forked()) delete executable;  // else all that it holds is the parent's
    }
  };

  TrainingStorage storage_;
  std::unique_ptr<cuda::TrainingExecutable, Delete> executable_;
  mutable std::mutex mutex_;  // of executable_
};

}  // namespace

void bind_cuda_training(py::module_& m) {
  py::class_<CudaTraining>(m, "CudaTraining", "A training program on a GPU.")
      .def(py::init<const py::object&, const py::dict&, int, const std::string&>(), py::arg("program"),
           py::arg("arrays"), py::arg("device") = 0, py::arg("kernels") = "auto")
      .def("step", &CudaTraining::step, py::arg("inputs"), py::arg("targets"), py::arg("losses"),
           py::arg("rates"), py::arg("seed"), py::arg("number"), py::arg("update"),
           py::arg("predicted") = false,
           "One step on a batch; fills losses (losses, images), float64, and returns the gradient's "
           "length. Raises FloatingPointError where a number is not finite. Releases the GIL; calls of "
           "several threads wait for each other.")
      .def("predict", &CudaTraining::predict, py::arg("inputs"), py::arg("seed"), py::arg("number"),
           "What each loss is of, by the forward pass alone; changes nothing. Releases the GIL.")
      .def("gradient", &CudaTraining::gradient, py::arg("parameter"),
           "A copy of the last step's gradient in a parameter; KeyError where it has none.")
      .def("kept", &CudaTraining::kept, py::arg("number"),
           "A copy of a value of the last step, of those that the program keeps.")
      .def("download", &CudaTraining::download,
           "Makes the caller's arrays what the steps have made of them on the GPU.")
      .def("upload", &CudaTraining::upload, "Makes the GPU's arrays what the caller's are.")
      .def("time_steps", &CudaTraining::time_steps,
           "Seconds of every step on the last batch, each launched alone; 0 of what updates. Values and "
           "gradients of that batch are lost.")
      .def_property_readonly("kernels", &CudaTraining::kernels,
                             "What computes each step's product on the last batch; empty for other steps.")
      .def_property_readonly("memory_bytes", &CudaTraining::memory_bytes,
                             "On the GPU, of values for the largest batch so far, and of gradients.");
}

}  // namespace facegen
